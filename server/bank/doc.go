// Package bank is what Kizo needs of a bank, and the HTTP client that gets it.
//
//	 server/settle                 server/bank                     the bank
//	┌─────────────┐  Instruction  ┌────────────┐  POST /v1/payments ┌────────┐
//	│ ref, amount │ ────────────► │   Client   │ ─────────────────► │  once  │
//	│ stored first│ ◄──────────── │ 64 sockets │ ◄───────────────── │ by ref │
//	└─────────────┘    Answer     └────────────┘   or silence       └────────┘
//
//	what came back                                        Outcome    error
//	200, well formed, same ref, amount, currency,
//	    status "executed"                                 Executed   –
//	    status "rejected"                                 Rejected   –
//	200, another ref, amount or currency                  Unknown    CodeContradiction
//	200, not to be read, or larger than 64 KiB            Unknown    CodeUnreadable
//	404 to Status                                         Unknown    –  (NotSeen is set)
//	409 to Submit                                         Unknown    CodeConflict
//	any other code, a redirect, a cut line, a timeout     Unknown    by its cause
//
// Unknown is never no. After it, ask Status or Submit the same Instruction
// again: a bank executes a ref at most once. NotSeen is not a no either, since
// the request may still be on its way.
//
// Callbacks (SignCallback, VerifyCallback, ParseCallback) are hints: whoever
// receives one asks Status before money moves.
//
// The package may not know Kizo's ledger, its queue or its tables.
package bank
