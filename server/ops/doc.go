// Package ops gives the HTTP API what operators see and do beyond the ledger.
//
//	server/api ──(api.Ops)──► Ops ─┬─► settle.Settler   payments, reconciliation, timelines
//	  OpenAPI models               ├─► settle.Queues    queues and tasks in Redis
//	                               ├─► ledger.Audit     invariants
//	                               └─► monitoring       snapshots for the dashboard
//
// The API does not know settlement, and settlement does not know the API's models. This package
// translates between them and decides nothing. It runs no SQL, and does not know HTTP, Redis or
// the bank. Texts from the bank, the queues and payments are cleaned of control characters and
// bounded before an operator's terminal gets them.
package ops
