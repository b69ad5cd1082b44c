package settle

import (
	"context"
	"errors"
	"fmt"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/failpoint"
)

// Kinds of an entry in the log of a payment; migrations/0002_settlement.sql lists them.
const (
	logUnknown       = "unknown"
	logNotSeen       = "not_seen"
	logContradiction = "contradiction"
	logStopped       = "stopped"
)

// attemptResult is the result of asking the bank once.
type attemptResult struct {
	answer      bank.Answer // final only if Status has given it
	kind        string      // of the log entry, if the answer is not final
	err         error       // why the answer is not final
	unconfirmed string      // what Submit answered, if Status has not confirmed it
	discrepancy string      // the kind of discrepancy if two answers contradict each other, or ""
}

// ask submits a payment at its first attempt. At later attempts the bank may have executed the
// payment already, so ask begins with Status. A reference that the bank has not seen is not a
// rejection, because an earlier request may still arrive: ask submits the same reference again.
//
// The answer to Submit is final only if Status confirms it.
func (s *Settler) ask(ctx context.Context, c claim) (r attemptResult) {
	defer func() {
		if cause := recover(); cause != nil { // a defect must not stop the worker
			r = attemptResult{kind: logUnknown, err: fmt.Errorf("panic while the bank was asked: %v", cause)}
		}
		s.breaker.report(ctx, r.err)
	}()
	kind := logUnknown
	if c.attempts > 1 {
		if err := failpoint.Point("settle.before_status"); err != nil {
			return attemptResult{kind: logUnknown, err: err}
		}
		answer, err := s.bank.Status(ctx, c.instruction)
		if err != nil || answer.Outcome != bank.Unknown {
			return resultOf(answer, err)
		}
		kind = logNotSeen
	}
	if err := failpoint.Point("settle.before_submit"); err != nil {
		return attemptResult{kind: kind, err: err}
	}
	first, err := s.bank.Submit(ctx, c.instruction)
	if failed := failpoint.Point("settle.after_submit"); failed != nil && err == nil && first.Outcome != bank.Unknown {
		return attemptResult{kind: logUnknown, err: failed, unconfirmed: first.Outcome.String()}
	}
	if err != nil || first.Outcome == bank.Unknown {
		r = resultOf(first, err)
		if r.kind == logUnknown {
			r.kind = kind
		}
		return r
	}
	return s.confirm(ctx, c, first)
}

// confirm asks Status whether the bank repeats the answer that it gave to Submit.
func (s *Settler) confirm(ctx context.Context, c claim, first bank.Answer) attemptResult {
	if err := failpoint.Point("settle.before_confirm"); err != nil {
		return attemptResult{kind: logUnknown, err: err}
	}
	second, err := s.bank.Status(ctx, c.instruction)
	if err != nil {
		r := resultOf(second, err)
		r.unconfirmed = first.Outcome.String()
		return r
	}
	if second.Outcome == first.Outcome {
		return attemptResult{answer: second}
	}
	now := second.Outcome.String()
	if second.NotSeen {
		now = "that it has not seen it"
	}
	err = fmt.Errorf("Submit answered %s, Status then answered %s", first.Outcome, now)
	return attemptResult{kind: logContradiction, err: err, unconfirmed: first.Outcome.String(), discrepancy: AnswersDiffer}
}

// resultOf converts one answer of the bank.
func resultOf(answer bank.Answer, err error) attemptResult {
	switch {
	case errors.Is(err, bank.CodeContradiction):
		return attemptResult{kind: logContradiction, err: err, discrepancy: AmountDiffers}
	case errors.Is(err, bank.CodeConflict):
		return attemptResult{kind: logContradiction, err: err, discrepancy: AnswersDiffer}
	case err == nil && answer.Outcome == bank.Unknown:
		return attemptResult{kind: logUnknown, err: errors.New("the bank does not know the outcome")}
	}
	return attemptResult{answer: answer, kind: logUnknown, err: err}
}

// newDiscrepancy describes a contradiction of the bank that an attempt found.
func newDiscrepancy(c claim, kind string, why error) Discrepancy {
	return Discrepancy{Kind: kind, Ref: c.instruction.Ref, Transfer: c.transfer, Detail: text.CleanProse(why.Error(), maxDetail)}
}
