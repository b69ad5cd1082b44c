// Package failpoint holds the places at which Kizo can be made to die, fail or stall,
// and the bugs that can be planted in it, to show that its tests would notice.
//
// In an ordinary build there is nothing here: Point returns nil, Planted returns
// false, both are inlined away. Built with the tag `failpoints` they obey the
// environment of the process:
//
//	KIZO_FAILPOINTS  what happens where, as "name=action@share;…" with action one of
//	             kill, fail, stop (SIGSTOP, once), stall:DURATION and share a number up to 1, for
//	             example "settle.bank_asked=kill@0.01;*=fail@0.0001"
//	KIZO_FAILPOINTS_SEED  seed of the dice
//	KIZO_FAILPOINTS_HIT   a directory; each point that is passed leaves a file there
//	KIZO_PLANTED      names of planted bugs, separated by commas
package failpoint
