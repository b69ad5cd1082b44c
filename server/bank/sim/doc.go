// Package sim is the mock bank: a server of its own that executes a ref at most
// once, writes down what it did before it says so, and misbehaves on demand.
//
//	POST /v1/payments
//	      │ attempt n of ref: dice(seed, ref, n)
//	      ▼
//	 latency · hang · 500 ──────────► nothing executed in this attempt
//	      │
//	      ▼            one lock, the ref is the key
//	 book ── known ──► the stored answer, or 409 for another body
//	      │ new: executed, or rejected by dice(seed, ref)
//	      ▼
//	 journal: one JSON line; write + fsync, shared by all who wait
//	      │
//	      ├──► callback (signed; late or twice on demand)
//	      ▼
//	 answer · silence, then a cut line · a lie
//
// The journal, not the answers, is the truth: ReadJournal is how a judge counts
// executions, and ReadLies what it told besides. GET /v1/payments/{ref} lies about
// stubborn refs alone, /v1/statement never, and neither shows what is not yet on disk.
//
// Every fault follows from (seed, ref, attempt), so a run can be replayed;
// attempts are counted per process and per method. The package may not know
// Kizo's ledger, queue or tables: its only word to Kizo is HTTP.
package sim
