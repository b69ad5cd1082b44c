// Package listener keeps a server reachable under many connections.
//
//	accept ─┬─ temporary error ───────────► wait, accept again
//	        └─ a connection
//	             │ below the limits ──────────────────────────► Conn
//	             │ at a limit: close the oldest idle connection ► Conn
//	             │ no idle connection, but a reserved place ──► restricted Conn
//	             └ otherwise ─────────────────────────────────► refused, closed
//
// [New] wraps a net.Listener. It limits the connections of the whole listener and those
// of one client address (an IPv6 address counts as its /64 network). A connection is
// idle unless the server reports that it works on a request: with [Conn.Begin] and
// [Conn.End], or with [Track] in a server of net/http. A client that connects and sends
// nothing therefore never prevents another client from connecting, and a connection is
// never closed while the server works on its request.
//
// The package imports no other package of Kizo and knows no HTTP routes. Config supplies
// the response that a refused client receives.
package listener
