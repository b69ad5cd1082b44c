package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// dice gives the same number in [0,1) for the same question, for ever. Each
// question has a name, so that one fault says nothing about another.
type dice struct {
	seed    uint64
	ref     string
	attempt uint32 // 0 for what belongs to the ref, not to a request
}

func (d dice) hash(question string) uint64 {
	buf := make([]byte, 0, 128)
	buf = binary.BigEndian.AppendUint64(buf, d.seed)
	buf = binary.BigEndian.AppendUint32(buf, d.attempt)
	buf = append(buf, question...)
	buf = append(buf, 0)
	buf = append(buf, d.ref...)
	sum := sha256.Sum256(buf)
	return binary.BigEndian.Uint64(sum[:])
}

func (d dice) throw(question string) float64 {
	return float64(d.hash(question)>>11) / (1 << 53)
}

func (d dice) part(question string, of time.Duration) time.Duration {
	return time.Duration(d.throw(question) * float64(of))
}

// lie says how an answer differs from the journal.
type lie uint8

const (
	truth lie = iota
	wrongAmount
	oppositeStatus // "rejected" although executed, "executed" although rejected
)

// plan is what will happen to one attempt, known before it starts.
type plan struct {
	wait  time.Duration // before anything happens
	fail  int           // HTTP status to fail with after wait, 0 for none
	cut   bool          // execute, then no answer
	stall time.Duration // before the line is cut
	lie   lie
}

// planFor throws the dice of one attempt. Op tells submit from status, so that
// asking does not disturb the order of submissions.
func (f Faults) planFor(seed uint64, op, ref string, attempt uint32) plan {
	d := dice{seed, ref, attempt}
	p := plan{wait: d.part(op+" latency", f.Latency)}
	if d.throw(op+" hang") < f.Hang {
		p.wait += f.HangFor
		if d.throw(op+" hang fails") < f.HangFails {
			p.fail = 500
		}
	}
	if d.throw(op+" fail") < f.Fail {
		p.fail = 500
		if d.throw(op+" which fail") < 0.5 {
			p.fail = 503
		}
	}
	if f.stubborn(seed, ref) {
		p.lie = wrongAmount
	}
	if op != opSubmit {
		return p
	}
	if d.throw("cut") < f.CutAfter {
		p.cut = true
		if d.throw("stall") < 0.5 {
			p.stall = f.StallFor
		}
	}
	if p.lie == truth && d.throw("lie") < f.Lies {
		p.lie = wrongAmount
		if d.throw("which lie") < 0.5 {
			p.lie = oppositeStatus
		}
	}
	return p
}

// stubborn depends on the ref alone, too: such a bank cannot be asked into the truth.
func (f Faults) stubborn(seed uint64, ref string) bool {
	return dice{seed: seed, ref: ref}.throw("stubborn") < f.Stubborn
}

// rejects depends on the ref alone: a bank says the same for ever.
func (f Faults) rejects(seed uint64, in bank.Instruction) bool {
	share := f.RejectDeposits
	if in.Direction == bank.Withdrawal {
		share = f.RejectWithdrawals
	}
	return dice{seed: seed, ref: in.Ref}.throw("reject") < share
}

// callbackPlan says when after the execution a callback is sent; two entries
// are a duplicate.
func (f Faults) callbackPlan(seed uint64, ref string) []time.Duration {
	d := dice{seed: seed, ref: ref}
	delays := []time.Duration{0}
	if d.throw("callback reorder") < f.CallbackReorder {
		delays[0] = d.part("callback delay", f.CallbackDelay)
	}
	if d.throw("callback duplicate") < f.CallbackDuplicate {
		delays = append(delays, d.part("callback second delay", f.CallbackDelay))
	}
	return delays
}
