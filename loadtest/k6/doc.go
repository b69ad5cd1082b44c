// Command k6 runs k6's scenarios against a Kizo of its own (loadtest/rig) and
// reports what became of the money, not only of the requests.
//
//	seed ─► books ─► k6 run scenario.js ─► wait until all has settled ─► books ─► audit ─► report
//	                     │ *.js ask /v1/…, count what was accepted          │
//	                     └───────────── must be the same ───────────────────┘
//
//	k6-profile       what the original Kizo was measured with: 100 users who sign in each time
//	k6-auth-storm    payments while wrong passwords come at a multiple of what can be hashed
//	k6-hot-receiver  everybody pays one receiver, in turns with everybody paying anybody
//	k6-spike         ten times as many payments for ten seconds
//	k6-soak          a modest mix for long
//
// The exit status is 1 when money does not agree or the audit fails, and with
// -strict also when a target is missed. k6 is a JavaScript engine per virtual user and
// takes its share of the machine, which the report tells. Under constant rates k6 sends
// when it can and not when it was due, and drops what it is late with, which the report
// tells as well: what that would hide is measured with loadtest/load.
package main
