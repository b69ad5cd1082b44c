// Package failpoint names the places at which a test build of Kizo can be made to die, fail or
// stall.
//
//	Point("settle.bank_asked") ─┬─ ordinary build ────────────► nil, inlined away
//	                            └─ build tag failpoints ─► rule ─► nil, error, stall, stop, kill
//
// A build with the tag reads its rules from the environment of the process:
//
//	KIZO_FAILPOINTS       rules "name=action@share;…"; the name * applies to points without a
//	                      rule. action is kill, fail, stop (SIGSTOP, once) or stall:DURATION;
//	                      share is its probability, 1 by default. For example
//	                      "settle.bank_asked=kill@0.01;*=fail@0.0001"
//	KIZO_FAILPOINTS_SEED  seed of the random numbers
//	KIZO_FAILPOINTS_HIT   directory in which each point that is reached makes a file
//
// The package imports no other package of Kizo. Production code may only call Point.
package failpoint
