// Package failpoint names the places at which a test build of Kizo can be made to die, fail
// or stall.
//
// In an ordinary build Point returns nil and is inlined away. Built with the tag `failpoints`
// it obeys the environment of the process:
//
//	KIZO_FAILPOINTS  what happens where, as "name=action@share;…" with action one of
//	             kill, fail, stop (SIGSTOP, once), stall:DURATION and share a number up to 1, for
//	             example "settle.bank_asked=kill@0.01;*=fail@0.0001"
//	KIZO_FAILPOINTS_SEED  seed of the dice
//	KIZO_FAILPOINTS_HIT   a directory; each point that is passed leaves a file there
package failpoint
