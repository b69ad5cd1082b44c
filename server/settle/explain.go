package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
)

// Line is one thing that happened, in a plain sentence.
type Line struct {
	At   time.Time
	What string
}

// Story is all that happened to a transfer, in order, and how it goes on.
type Story struct {
	Lines    []Line
	TraceID  string // of the request that a payment came with, under which the bank is asked; "" without one
	WaitsFor string
	Next     string // who acts next
}

// Explain tells the story of a transfer from the rows that it left.
func (s *Settler) Explain(ctx context.Context, t ledger.Transfer) (Story, error) {
	story := Story{WaitsFor: "nothing", Next: "nobody: it has ended"}
	story.add(t.CreatedAt, "accepted as a %s of %s, under the key %s", t.Kind, t.Amount, t.Key)
	postings, err := s.ledger.Postings(ctx, t)
	if err != nil {
		return Story{}, err
	}
	for _, p := range postings {
		side := "left"
		if p.Amount > 0 {
			side = "reached"
		}
		story.add(p.At, "posted: %s %s account %d (its line %d)",
			money.Amount{Minor: max(p.Amount, -p.Amount), Currency: t.Amount.Currency}, side, p.Account, p.Seq)
	}
	if err := s.explainPayment(ctx, t, &story); err != nil {
		return Story{}, err
	}
	switch {
	case t.State == ledger.Refused:
		story.add(t.ResolvedAt, "refused: %s", t.Reason)
	case t.State == ledger.Voided:
		story.add(t.ResolvedAt, "voided: %s; nothing is held any more", t.Reason)
	case t.State == ledger.Pending && t.Kind == ledger.KindAuthorization:
		story.add(t.CreatedAt, "held: %s until it is captured, voided, or expires at %s", t.Amount, t.ExpiresAt.UTC().Format(time.RFC3339))
		story.WaitsFor = "the receiver, until " + t.ExpiresAt.UTC().Format(time.RFC3339)
		story.Next = "the receiver, by capturing or voiding; then the janitor, by letting it expire"
	}
	slices.SortStableFunc(story.Lines, func(a, b Line) int { return a.At.Compare(b.At) })
	return story, nil
}

// explainPayment tells the bank's side, where there is one.
func (s *Settler) explainPayment(ctx context.Context, t ledger.Transfer, story *Story) error {
	p, err := s.Payment(ctx, t.ID)
	if errors.Is(err, ErrNoPayment) {
		return nil
	}
	if err != nil {
		return err
	}
	if t.Kind == ledger.KindWithdrawal && t.State != ledger.Refused {
		story.add(t.CreatedAt, "held: %s until the bank has answered", t.Amount)
	}
	story.TraceID = p.TraceID
	story.add(p.CreatedAt, "payment written down under the reference %s, before the bank was asked", p.Instruction.Ref)
	log, err := s.Log(ctx, t.ID)
	if err != nil {
		return err
	}
	for _, e := range log {
		story.add(e.At, "attempt %d: %s", e.Attempt, sentence(e))
	}
	differences, err := s.differencesOf(ctx, p.Instruction.Ref)
	if err != nil {
		return err
	}
	for _, d := range differences {
		story.add(d.FoundAt, "difference found: %s (%s)", d.Kind, d.Detail)
	}
	switch {
	case p.State == ledger.PaymentNeedsReview:
		story.WaitsFor = "an operator's decision; the hold is kept"
		story.Next = "an operator: kizo ops payments resolve " + t.ID.String()
	case !p.LeaseUntil.IsZero() && p.LeaseUntil.After(time.Now()):
		story.WaitsFor = "the bank's answer to attempt " + fmt.Sprint(p.Attempts)
		story.Next = "the worker that holds it until " + p.LeaseUntil.UTC().Format(time.RFC3339)
	case !p.NextAt.IsZero():
		story.WaitsFor = "its next attempt, due at " + p.NextAt.UTC().Format(time.RFC3339)
		story.Next = "a worker, or the janitor a second later"
	}
	return nil
}

func (s *Story) add(at time.Time, format string, args ...any) {
	s.Lines = append(s.Lines, Line{at, fmt.Sprintf(format, args...)})
}

func sentence(e Entry) string {
	text := map[string]string{
		"executed":      "the bank executed it",
		"rejected":      "the bank rejected it",
		"unknown":       "no answer that could be believed; its outcome is unknown and will be asked for",
		"not_seen":      "the bank has not seen it, which is no rejection; it was submitted again",
		"contradiction": "the bank contradicted itself; nothing was decided",
		"stopped":       "the worker was stopped and handed it over",
		"needs_review":  "given to an operator, the hold kept",
		"callback":      "the bank called back",
	}[e.What]
	if text == "" {
		text = e.What
	}
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}
