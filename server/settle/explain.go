package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
)

// LineType says what kind of thing a Line is about.
type LineType string

// The types of a Line.
const (
	LineAccepted   LineType = "accepted"
	LineHeld       LineType = "held"
	LineDebited    LineType = "debited"
	LineCredited   LineType = "credited"
	LineCaptured   LineType = "captured"
	LineVoided     LineType = "voided"
	LineExpired    LineType = "expired"
	LineRefused    LineType = "refused"
	LineReversed   LineType = "reversed"
	LinePayment    LineType = "payment"
	LineAttempt    LineType = "attempt"
	LineDifference LineType = "difference"
)

// Role says what kind of actor does something.
type Role string

// The roles of an Actor.
const (
	RoleUser     Role = "user"
	RoleBank     Role = "bank"
	RoleKizo     Role = "kizo" // a worker or the janitor
	RoleOperator Role = "operator"
	RoleNone     Role = "none" // nothing is left to do
)

// Actor is who did something, or who acts next.
type Actor struct {
	Role Role
	User uuid.UUID // of RoleUser
}

// Line is one thing that happened: as data, and in a plain sentence.
type Line struct {
	At       time.Time
	Type     LineType
	Actor    Actor
	Amount   int64     // minor units; 0 where it is about no amount
	Account  Actor     // whose account it is about; no Role where it is about none
	Transfer uuid.UUID // of LineReversed: the transfer that sent money back
	Attempt  int       // of LineAttempt
	Outcome  string    // of LineAttempt, what came of it; of LineVoided and LineRefused, the reason
	What     string
}

// Story is all that happened to a transfer, in order, and how it goes on.
type Story struct {
	Lines     []Line
	TraceID   string // of the request that a payment came with, under which the bank is asked; "" without one
	WaitsFor  string
	Next      string // who acts next
	NextActor Actor

	transfer ledger.Transfer
	owners   map[int64]uuid.UUID // of its accounts; Kizo's own have none
	names    map[uuid.UUID]string
}

// Names gives the names of users as a sentence says them: "@ada".
type Names func(ctx context.Context, users []uuid.UUID) (map[uuid.UUID]string, error)

// Explain tells the story of a transfer from the rows that it left.
func (s *Settler) Explain(ctx context.Context, t ledger.Transfer, names Names) (Story, error) {
	story := Story{WaitsFor: "nothing", Next: "nobody: it has ended", NextActor: Actor{Role: RoleNone}, transfer: t}
	if err := s.nameParties(ctx, &story, names); err != nil {
		return Story{}, err
	}
	story.explainAccepted()
	followUps, err := s.ledger.FollowUps(ctx, t)
	if err != nil {
		return Story{}, err
	}
	story.explainFollowUps(followUps)
	postings, err := s.ledger.Postings(ctx, t)
	if err != nil {
		return Story{}, err
	}
	for _, p := range postings {
		line, verb := Line{At: p.At, Type: LineDebited, Actor: Actor{Role: RoleKizo}, Amount: -p.Amount, Account: story.owner(p.Account)}, "left"
		if p.Amount > 0 {
			line.Type, line.Amount, verb = LineCredited, p.Amount, "reached"
		}
		story.add(line, "posted: %s %s %s (its line %d)", story.amount(line.Amount), verb, story.name(p.Account), p.Seq)
	}
	if err := s.explainPayment(ctx, t, &story); err != nil {
		return Story{}, err
	}
	story.explainEnd()
	slices.SortStableFunc(story.Lines, func(a, b Line) int { return a.At.Compare(b.At) })
	return story, nil
}

// nameParties finds out whose the accounts on both sides are.
func (s *Settler) nameParties(ctx context.Context, story *Story, names Names) error {
	t := story.transfer
	owners, err := s.ledger.Owners(ctx, []int64{t.DebitAccount, t.CreditAccount})
	if err != nil {
		return err
	}
	users := []uuid.UUID{t.Owner}
	for _, owner := range owners {
		users = append(users, owner)
	}
	story.owners = owners
	story.names, err = names(ctx, users)
	return err
}

// owner is whose an account is.
func (s *Story) owner(account int64) Actor {
	if owner, ok := s.owners[account]; ok {
		return Actor{RoleUser, owner}
	}
	if s.transfer.Kind == ledger.KindDeposit || s.transfer.Kind == ledger.KindWithdrawal {
		return Actor{Role: RoleBank}
	}
	return Actor{Role: RoleKizo}
}

// name is whose an account is, for a sentence.
func (s *Story) name(account int64) string {
	switch owner := s.owner(account); {
	case owner.Role == RoleUser:
		return s.userName(owner.User)
	case owner.Role == RoleBank:
		return "the bank"
	case account == 0: // refused for want of it
		return "a wallet that does not exist"
	}
	return "Kizo"
}

func (s *Story) userName(user uuid.UUID) string {
	if name := s.names[user]; name != "" {
		return name
	}
	return "user " + user.String()
}

// decider is who said that the bank rejected a payment: the bank, or an operator in its place.
func (s *Story) decider() Actor {
	for _, line := range slices.Backward(s.Lines) {
		if line.Type == LineAttempt && line.Outcome == "rejected" {
			return line.Actor
		}
	}
	return Actor{Role: RoleBank}
}

func (s *Story) amount(minor int64) money.Amount {
	return money.Amount{Minor: minor, Currency: s.transfer.Amount.Currency}
}

func (s *Story) add(line Line, format string, args ...any) {
	line.What = fmt.Sprintf(format, args...)
	s.Lines = append(s.Lines, line)
}

func (s *Story) explainAccepted() {
	t := s.transfer
	article := "a"
	if t.Kind == ledger.KindAuthorization {
		article = "an"
	}
	what := fmt.Sprintf("accepted as %s %s of %s", article, t.Kind, t.Amount)
	if t.Kind == ledger.KindReversal {
		what += ", which sends back all or a part of transfer " + t.Target.String() + ","
	}
	line := Line{At: t.CreatedAt, Type: LineAccepted, Actor: Actor{RoleUser, t.Owner}, Amount: t.Amount.Minor}
	s.add(line, "%s from %s to %s, under the key %s", what, s.name(t.DebitAccount), s.name(t.CreditAccount), t.Key)
	held := Line{At: t.CreatedAt, Type: LineHeld, Actor: Actor{Role: RoleKizo}, Amount: t.Amount.Minor, Account: s.owner(t.DebitAccount)}
	switch {
	case t.State == ledger.Refused:
	case t.Kind == ledger.KindAuthorization:
		s.add(held, "held: %s until it is captured, voided, or expires at %s", t.Amount, t.ExpiresAt.UTC().Format(time.RFC3339))
	case t.Kind == ledger.KindWithdrawal:
		s.add(held, "held: %s until the bank has answered", t.Amount)
	}
}

// explainFollowUps tells what users did with the transfer later.
func (s *Story) explainFollowUps(followUps []ledger.Transfer) {
	for _, f := range followUps {
		line := Line{At: f.CreatedAt, Actor: Actor{RoleUser, f.Owner}}
		switch {
		case f.Kind == ledger.KindReversal:
			line.Type, line.Amount, line.Transfer = LineReversed, f.PostedAmount, f.ID
			s.add(line, "reversed by %s: %s went back with transfer %s", s.userName(f.Owner), s.amount(f.PostedAmount), f.ID)
		case f.State == ledger.Posted:
			line.Type, line.Amount = LineCaptured, f.PostedAmount
			rest := ""
			if left := s.transfer.Amount.Minor - f.PostedAmount; left > 0 {
				rest = fmt.Sprintf("; the other %s is free again", s.amount(left))
			}
			s.add(line, "captured by %s: %s of %s%s", s.userName(f.Owner), s.amount(f.PostedAmount), s.transfer.Amount, rest)
		}
	}
}

// explainEnd tells how a transfer ended that moved nothing, or what an authorization waits for.
func (s *Story) explainEnd() {
	t := s.transfer
	end := Line{At: t.ResolvedAt, Actor: Actor{Role: RoleKizo}, Outcome: t.Reason}
	switch {
	case t.State == ledger.Refused:
		end.Type = LineRefused
		s.add(end, "refused: %s", t.Reason)
	case t.State == ledger.Voided && t.Reason == ledger.ReasonExpired:
		end.Type = LineExpired
		s.add(end, "expired: nothing is held any more")
	case t.State == ledger.Voided:
		end.Type = LineVoided
		switch t.Reason {
		case ledger.ReasonVoided:
			end.Actor = s.owner(t.CreditAccount)
		case ledger.ReasonBankRejected:
			end.Actor = s.decider()
		}
		s.add(end, "voided: %s; nothing is held any more", t.Reason)
	case t.State == ledger.Pending && t.Kind == ledger.KindAuthorization:
		receiver := s.name(t.CreditAccount)
		s.WaitsFor = receiver + ", until " + t.ExpiresAt.UTC().Format(time.RFC3339)
		s.Next = receiver + ", by capturing or voiding; then the janitor, by letting it expire"
		s.NextActor = s.owner(t.CreditAccount)
	}
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
	story.TraceID = p.TraceID
	story.add(Line{At: p.CreatedAt, Type: LinePayment, Actor: Actor{Role: RoleKizo}, Amount: t.Amount.Minor},
		"payment written down under the reference %s, before the bank was asked", p.Instruction.Ref)
	log, err := s.Log(ctx, t.ID)
	if err != nil {
		return err
	}
	for _, e := range log {
		line := Line{At: e.At, Type: LineAttempt, Actor: actorOf(e), Attempt: e.Attempt, Outcome: e.What}
		story.add(line, "attempt %d: %s", e.Attempt, sentence(e))
	}
	differences, err := s.differencesOf(ctx, p.Instruction.Ref)
	if err != nil {
		return err
	}
	for _, d := range differences {
		line := Line{At: d.FoundAt, Type: LineDifference, Actor: Actor{Role: RoleKizo}, Outcome: d.Kind}
		story.add(line, "difference found: %s (%s)", d.Kind, d.Detail)
		if !d.ClosedAt.IsZero() {
			line.At = d.ClosedAt
			story.add(line, "difference closed: %s", d.Kind)
		}
	}
	switch {
	case p.State == ledger.PaymentNeedsReview:
		story.WaitsFor = "an operator's decision; the hold is kept"
		story.Next = "an operator: kizo ops payments resolve " + t.ID.String()
		story.NextActor = Actor{Role: RoleOperator}
	case !p.LeaseUntil.IsZero() && p.LeaseUntil.After(time.Now()):
		story.WaitsFor = "the bank's answer to attempt " + fmt.Sprint(p.Attempts)
		story.Next = "the worker that holds it until " + p.LeaseUntil.UTC().Format(time.RFC3339)
		story.NextActor = Actor{Role: RoleBank}
	case !p.NextAt.IsZero():
		story.WaitsFor = "its next attempt, due at " + p.NextAt.UTC().Format(time.RFC3339)
		story.Next = "a worker, or the janitor a second later"
		story.NextActor = Actor{Role: RoleKizo}
	}
	return nil
}

// actorOf is whose word an entry of the log is.
func actorOf(e Entry) Actor {
	switch e.What {
	case "executed", "rejected":
		if e.Detail == operatorNote {
			return Actor{Role: RoleOperator}
		}
		return Actor{Role: RoleBank}
	case "not_seen", "contradiction", "callback":
		return Actor{Role: RoleBank}
	}
	return Actor{Role: RoleKizo}
}

func sentence(e Entry) string {
	if actorOf(e).Role == RoleOperator {
		return "an operator decided that the bank " + e.What + " it"
	}
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
