package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// seededRandom returns the same pseudo-random values in every run. Each value has a name, so that
// the decision about one fault is independent of the others.
type seededRandom struct {
	seed    uint64
	ref     string
	attempt uint32 // 0 for a decision about the reference and not about a request
}

func (d seededRandom) hash(name string) uint64 {
	buf := make([]byte, 0, 128)
	buf = binary.BigEndian.AppendUint64(buf, d.seed)
	buf = binary.BigEndian.AppendUint32(buf, d.attempt)
	buf = append(buf, name...)
	buf = append(buf, 0)
	buf = append(buf, d.ref...)
	sum := sha256.Sum256(buf)
	return binary.BigEndian.Uint64(sum[:])
}

// fraction returns a number in [0,1).
func (d seededRandom) fraction(name string) float64 {
	return float64(d.hash(name)>>11) / (1 << 53)
}

// duration returns a duration from 0 to longest.
func (d seededRandom) duration(name string, longest time.Duration) time.Duration {
	return time.Duration(d.fraction(name) * float64(longest))
}

// lie says how an answer differs from the journal.
type lie uint8

const (
	noLie lie = iota
	wrongAmount
	oppositeStatus // "rejected" although executed, "executed" although rejected
)

// faultPlan says what happens in one attempt. It is made before the attempt starts.
type faultPlan struct {
	wait  time.Duration // before anything else happens
	fail  int           // HTTP status of a failure after wait, 0 for none
	cut   bool          // execute, then close the connection without an answer
	stall time.Duration // before the connection is closed
	lie   lie
}

// planFor makes the plan of one attempt. op is part of the names, so that requests for the status
// do not change the faults of submissions.
func (f Faults) planFor(seed uint64, op, ref string, attempt uint32) faultPlan {
	d := seededRandom{seed, ref, attempt}
	p := faultPlan{wait: d.duration(op+" latency", f.Latency)}
	if d.fraction(op+" hang") < f.Hang {
		p.wait += f.HangFor
		if d.fraction(op+" hang fails") < f.HangFails {
			p.fail = 500
		}
	}
	if d.fraction(op+" fail") < f.Fail {
		p.fail = 500
		if d.fraction(op+" which fail") < 0.5 {
			p.fail = 503
		}
	}
	if f.stubborn(seed, ref) {
		p.lie = wrongAmount
	}
	if op != opSubmit {
		return p
	}
	if d.fraction("cut") < f.CutAfter {
		p.cut = true
		if d.fraction("stall") < 0.5 {
			p.stall = f.StallFor
		}
	}
	if p.lie == noLie && d.fraction("lie") < f.Lies {
		p.lie = wrongAmount
		if d.fraction("which lie") < 0.5 {
			p.lie = oppositeStatus
		}
	}
	return p
}

// stubborn reports whether every answer about ref lies. It depends on the seed and ref only.
func (f Faults) stubborn(seed uint64, ref string) bool {
	return seededRandom{seed: seed, ref: ref}.fraction("stubborn") < f.Stubborn
}

// rejects reports whether the payment is rejected. It depends on the seed, direction and ref only.
func (f Faults) rejects(seed uint64, in bank.Instruction) bool {
	share := f.RejectDeposits
	if in.Direction == bank.Withdrawal {
		share = f.RejectWithdrawals
	}
	return seededRandom{seed: seed, ref: in.Ref}.fraction("reject") < share
}

// callbackPlan returns the delays after the execution at which a callback is sent: one, or two
// for a duplicate.
func (f Faults) callbackPlan(seed uint64, ref string) []time.Duration {
	d := seededRandom{seed: seed, ref: ref}
	delays := []time.Duration{0}
	if d.fraction("callback reorder") < f.CallbackReorder {
		delays[0] = d.duration("callback delay", f.CallbackDelay)
	}
	if d.fraction("callback duplicate") < f.CallbackDuplicate {
		delays = append(delays, d.duration("callback second delay", f.CallbackDelay))
	}
	return delays
}
