// Package bank defines what Kizo needs of a bank, and contains a client for a bank over HTTP.
//
//	server/settle                 server/bank                         the bank
//	+---------------+             +----------------+                  +---------------+
//	| Instruction,  | --Submit--> |     Client     | --POST, GET----> | executes a    |
//	| stored first  | <--Answer-- | 64 connections | <--200, 404, 5xx | ref only once |
//	+---------------+             +----------------+    or no answer  +---------------+
//
// # Outcomes
//
// [Bank] is the interface, [Client] its implementation over HTTP, and package sim a mock bank for
// tests and development. An [Instruction] asks for one payment. Its reference is the idempotency
// key: the bank executes a reference at most once. An [Answer] has one of three outcomes:
//
//	response of the bank                                      Outcome    error
//	200, well formed, same ref, amount, currency,
//	    status "executed"                                     Executed   none
//	    status "rejected"                                     Rejected   none
//	200, another ref, amount or currency                      Unknown    CodeContradiction
//	200, unreadable or larger than 64 KiB                     Unknown    CodeUnreadable
//	404 to Status                                             Unknown    none (NotSeen is set)
//	409 to Submit                                             Unknown    CodeConflict
//	any other status, redirect, broken connection, timeout    Unknown    by its cause
//
// Unknown never means rejected. After it the caller asks Status or Submit again, with the same
// Instruction. NotSeen is not a rejection either, because the request may still arrive.
//
// # Callbacks
//
// A [Callback] says that the bank has decided about an instruction. The receiver verifies its
// signature with [VerifyCallback], and asks Status before any money moves.
//
// # Limits of the package
//
// The package never retries: package settle decides that. It does not import Kizo's ledger, queue
// or database code.
package bank
