package settle

import (
	"context"
	"errors"
	"fmt"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
)

// What a payment's log says of an attempt; migrations/0002_settlement.sql lists them.
const (
	loggedUnknown       = "unknown"
	loggedNotSeen       = "not_seen"
	loggedContradiction = "contradiction"
	loggedStopped       = "stopped"
)

// reply is what came of one attempt.
type reply struct {
	answer      bank.Answer // definite only where Status has said it
	what        string      // for the payment's log, where it is not definite
	err         error       // why it is not
	unconfirmed string      // what Submit answered, where Status has not said so
	differs     string      // the kind of discrepancy where the bank told two things, or ""
}

// ask submits a payment at its first attempt. Later the bank may have it already,
// so it is asked first; and where it has not seen the ref, that is no rejection
// (the request may still be on its way): the same ref is submitted again.
//
// No money moves on what Submit answers: Status must say the same.
func (s *Settler) ask(ctx context.Context, c claim) (r reply) {
	defer func() {
		if cause := recover(); cause != nil { // one payment's defect is not everybody's
			r = reply{what: loggedUnknown, err: fmt.Errorf("panic while the bank was asked: %v", cause)}
		}
		s.breaker.report(ctx, r.err)
	}()
	what := loggedUnknown
	if c.attempts > 1 {
		if err := failpoint.Point("settle.before_status"); err != nil {
			return reply{what: loggedUnknown, err: err}
		}
		answer, err := s.bank.Status(ctx, c.instruction)
		if err != nil || answer.Outcome != bank.Unknown {
			return s.told(answer, err)
		}
		what = loggedNotSeen
	}
	if err := failpoint.Point("settle.before_submit"); err != nil {
		return reply{what: what, err: err}
	}
	first, err := s.bank.Submit(ctx, c.instruction)
	if failed := failpoint.Point("settle.after_submit"); failed != nil && err == nil && first.Outcome != bank.Unknown {
		return reply{what: loggedUnknown, err: failed, unconfirmed: first.Outcome.String()}
	}
	if err != nil || first.Outcome == bank.Unknown {
		r = s.told(first, err)
		if r.what == loggedUnknown {
			r.what = what
		}
		return r
	}
	return s.confirm(ctx, c, first)
}

// confirm asks whether the bank stands by what it answered.
func (s *Settler) confirm(ctx context.Context, c claim, first bank.Answer) reply {
	if err := failpoint.Point("settle.before_confirm"); err != nil {
		return reply{what: loggedUnknown, err: err}
	}
	second, err := s.bank.Status(ctx, c.instruction)
	if err != nil {
		r := s.told(second, err)
		r.unconfirmed = first.Outcome.String()
		return r
	}
	if second.Outcome == first.Outcome {
		return reply{answer: second}
	}
	now := second.Outcome.String()
	if second.NotSeen {
		now = "it has not seen it"
	}
	err = fmt.Errorf("the bank answered %s, and asked again: %s", first.Outcome, now)
	return reply{what: loggedContradiction, err: err, unconfirmed: first.Outcome.String(), differs: AnswersDiffer}
}

// told is the reply that one answer makes.
func (s *Settler) told(answer bank.Answer, err error) reply {
	switch {
	case errors.Is(err, bank.CodeContradiction):
		return reply{what: loggedContradiction, err: err, differs: AmountDiffers}
	case errors.Is(err, bank.CodeConflict):
		return reply{what: loggedContradiction, err: err, differs: AnswersDiffer}
	case err == nil && answer.Outcome == bank.Unknown:
		return reply{what: loggedUnknown, err: errors.New("the bank has not said what became of it")}
	}
	return reply{answer: answer, what: loggedUnknown, err: err}
}

func newDiscrepancy(c claim, kind string, why error) Discrepancy {
	return Discrepancy{Kind: kind, Ref: c.instruction.Ref, Transfer: c.transfer, Detail: plain(why.Error())}
}

// final tells whether err is a contradiction by which the bank stands when it is
// asked for the status, or one that asking again cannot clear up.
func final(err error) bool {
	e, ok := errors.AsType[*bank.Error](err)
	return ok && (e.Code == bank.CodeContradiction && e.Op == "status" || e.Code == bank.CodeConflict)
}
