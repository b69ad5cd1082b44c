// Package listener keeps a server reachable under many connections.
//
//	accept ─┬─ an error that passes ──────► wait, accept again
//	        └─ a connection
//	             │ below the limits ──────────────────────────► Conn
//	             │ at a limit: close the oldest idle connection ► Conn
//	             │ no connection is idle, a reserved place is ──► restricted Conn
//	             └ else ──────────────────────────────────────► refusal, closed
//
// Limits are the connections of the whole listener and those of one client address
// (an IPv6 address counts as its /64 network). A connection is idle unless the server
// says that it works on a request: with Begin and End, or with Track where the server
// is that of net/http. A client that connects and sends nothing therefore never keeps
// another client out, and a request under way is never cut off.
//
// The package knows neither HTTP routes nor any other package of Kizo; what a refused
// client reads comes in Config.
package listener
