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

// EntryType says what a TimelineEntry is about.
type EntryType string

// The types of a TimelineEntry.
const (
	EntryAccepted    EntryType = "accepted"
	EntryHeld        EntryType = "held"
	EntryDebited     EntryType = "debited"
	EntryCredited    EntryType = "credited"
	EntryCaptured    EntryType = "captured"
	EntryVoided      EntryType = "voided"
	EntryExpired     EntryType = "expired"
	EntryRefused     EntryType = "refused"
	EntryReversed    EntryType = "reversed"
	EntryPayment     EntryType = "payment"
	EntryAttempt     EntryType = "attempt"
	EntryDiscrepancy EntryType = "discrepancy"
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

// Actor is the user or system that did something or acts next.
type Actor struct {
	Role Role
	User ledger.UserID // of RoleUser
}

// TimelineEntry is one thing that happened to a transfer: as data, and as a sentence.
type TimelineEntry struct {
	At       time.Time
	Type     EntryType
	Actor    Actor
	Amount   int64     // minor units; 0 if no amount is concerned
	Account  Actor     // owner of the account concerned; no Role if none is
	Transfer uuid.UUID // of EntryReversed: the transfer that sent money back
	Attempt  int       // of EntryAttempt
	Outcome  string    // of EntryAttempt, its result; of EntryVoided and EntryRefused, the reason
	Text     string    // the entry as a sentence
}

// Timeline is the history of a transfer, the oldest entry first, and what it waits for.
type Timeline struct {
	Entries   []TimelineEntry
	TraceID   string // of the request that created the payment; the requests to the bank have it too; "" without one
	WaitsFor  string
	Next      string // who acts next, and by what
	NextActor Actor
}

// timelineBuilder collects the entries of one transfer's timeline.
type timelineBuilder struct {
	Timeline

	transfer ledger.Transfer
	owners   map[ledger.AccountID]ledger.UserID // of the two accounts; system accounts have no owner
	names    map[ledger.UserID]string
}

// Names returns the names of users as sentences show them, such as "@ada".
type Names func(ctx context.Context, users []ledger.UserID) (map[ledger.UserID]string, error)

// Explain builds the timeline of a transfer from the rows that it left.
func (s *Settler) Explain(ctx context.Context, t ledger.Transfer, names Names) (Timeline, error) {
	b := &timelineBuilder{
		Timeline: Timeline{WaitsFor: "nothing", Next: "nothing: it has ended", NextActor: Actor{Role: RoleNone}},
		transfer: t,
	}
	if err := s.nameParties(ctx, b, names); err != nil {
		return Timeline{}, err
	}
	b.explainAccepted()
	followUps, err := s.ledger.FollowUps(ctx, t)
	if err != nil {
		return Timeline{}, err
	}
	b.explainFollowUps(followUps)
	postings, err := s.ledger.Postings(ctx, t)
	if err != nil {
		return Timeline{}, err
	}
	for _, p := range postings {
		entry, verb := TimelineEntry{At: p.At, Type: EntryDebited, Actor: Actor{Role: RoleKizo}, Amount: -p.Amount, Account: b.owner(p.Account)}, "left"
		if p.Amount > 0 {
			entry.Type, entry.Amount, verb = EntryCredited, p.Amount, "reached"
		}
		b.add(entry, "posted: %s %s %s (posting %d of its account)", b.amount(entry.Amount), verb, b.name(p.Account), p.Seq)
	}
	if err := s.explainPayment(ctx, t, b); err != nil {
		return Timeline{}, err
	}
	b.explainEnd()
	slices.SortStableFunc(b.Entries, func(x, y TimelineEntry) int { return x.At.Compare(y.At) })
	return b.Timeline, nil
}

// nameParties reads the owners of both accounts, and their names.
func (s *Settler) nameParties(ctx context.Context, b *timelineBuilder, names Names) error {
	t := b.transfer
	owners, err := s.ledger.Owners(ctx, []ledger.AccountID{t.DebitAccount, t.CreditAccount})
	if err != nil {
		return err
	}
	users := []ledger.UserID{t.Owner}
	for _, owner := range owners {
		users = append(users, owner)
	}
	b.owners = owners
	b.names, err = names(ctx, users)
	return err
}

// owner returns the actor who owns an account.
func (b *timelineBuilder) owner(account ledger.AccountID) Actor {
	if owner, ok := b.owners[account]; ok {
		return Actor{RoleUser, owner}
	}
	if b.transfer.Kind == ledger.KindDeposit || b.transfer.Kind == ledger.KindWithdrawal {
		return Actor{Role: RoleBank}
	}
	return Actor{Role: RoleKizo}
}

// name returns the owner of an account as a sentence names it.
func (b *timelineBuilder) name(account ledger.AccountID) string {
	switch owner := b.owner(account); {
	case owner.Role == RoleUser:
		return b.userName(owner.User)
	case owner.Role == RoleBank:
		return "the bank"
	case account == 0: // the transfer was refused because the account does not exist
		return "a wallet that does not exist"
	}
	return "Kizo"
}

func (b *timelineBuilder) userName(user ledger.UserID) string {
	if name := b.names[user]; name != "" {
		return name
	}
	return "user " + user.String()
}

// decider returns the actor who decided that the payment was rejected: the bank or an operator.
func (b *timelineBuilder) decider() Actor {
	for _, entry := range slices.Backward(b.Entries) {
		if entry.Type == EntryAttempt && entry.Outcome == "rejected" {
			return entry.Actor
		}
	}
	return Actor{Role: RoleBank}
}

// amount returns minor units in the currency of the transfer.
func (b *timelineBuilder) amount(minor int64) money.Amount {
	return money.Amount{Minor: minor, Currency: b.transfer.Amount.Currency}
}

// add appends an entry whose text is the formatted sentence.
func (b *timelineBuilder) add(entry TimelineEntry, format string, args ...any) {
	entry.Text = fmt.Sprintf(format, args...)
	b.Entries = append(b.Entries, entry)
}

// explainAccepted adds the acceptance of the transfer and its hold.
func (b *timelineBuilder) explainAccepted() {
	t := b.transfer
	article := "a"
	if t.Kind == ledger.KindAuthorization {
		article = "an"
	}
	what := fmt.Sprintf("accepted as %s %s of %s", article, t.Kind, t.Amount)
	if t.Kind == ledger.KindReversal {
		what += ", which sends back all or a part of transfer " + t.Target.String() + ","
	}
	entry := TimelineEntry{At: t.CreatedAt, Type: EntryAccepted, Actor: Actor{RoleUser, t.Owner}, Amount: t.Amount.Minor}
	b.add(entry, "%s from %s to %s, under the key %s", what, b.name(t.DebitAccount), b.name(t.CreditAccount), t.Key)
	held := TimelineEntry{At: t.CreatedAt, Type: EntryHeld, Actor: Actor{Role: RoleKizo}, Amount: t.Amount.Minor, Account: b.owner(t.DebitAccount)}
	switch {
	case t.State == ledger.Refused:
	case t.Kind == ledger.KindAuthorization:
		b.add(held, "held: %s until it is captured, voided, or expires at %s", t.Amount, t.ExpiresAt.UTC().Format(time.RFC3339))
	case t.Kind == ledger.KindWithdrawal:
		b.add(held, "held: %s until the bank has answered", t.Amount)
	}
}

// explainFollowUps adds the captures and reversals of the transfer.
func (b *timelineBuilder) explainFollowUps(followUps []ledger.Transfer) {
	for _, f := range followUps {
		entry := TimelineEntry{At: f.CreatedAt, Actor: Actor{RoleUser, f.Owner}}
		switch {
		case f.Kind == ledger.KindReversal:
			entry.Type, entry.Amount, entry.Transfer = EntryReversed, f.PostedAmount, f.ID
			b.add(entry, "reversed by %s: %s went back with transfer %s", b.userName(f.Owner), b.amount(f.PostedAmount), f.ID)
		case f.State == ledger.Posted:
			entry.Type, entry.Amount = EntryCaptured, f.PostedAmount
			rest := ""
			if left := b.transfer.Amount.Minor - f.PostedAmount; left > 0 {
				rest = fmt.Sprintf("; the other %s is free again", b.amount(left))
			}
			b.add(entry, "captured by %s: %s of %s%s", b.userName(f.Owner), b.amount(f.PostedAmount), b.transfer.Amount, rest)
		}
	}
}

// explainEnd adds the end of a transfer that moved no money, or what an authorization waits for.
func (b *timelineBuilder) explainEnd() {
	t := b.transfer
	end := TimelineEntry{At: t.ResolvedAt, Actor: Actor{Role: RoleKizo}, Outcome: t.Reason}
	switch {
	case t.State == ledger.Refused:
		end.Type = EntryRefused
		b.add(end, "refused: %s", t.Reason)
	case t.State == ledger.Voided && t.Reason == ledger.ReasonExpired:
		end.Type = EntryExpired
		b.add(end, "expired: nothing is held any more")
	case t.State == ledger.Voided:
		end.Type = EntryVoided
		switch t.Reason {
		case ledger.ReasonVoided:
			end.Actor = b.owner(t.CreditAccount)
		case ledger.ReasonBankRejected:
			end.Actor = b.decider()
		}
		b.add(end, "voided: %s; nothing is held any more", t.Reason)
	case t.State == ledger.Pending && t.Kind == ledger.KindAuthorization:
		receiver := b.name(t.CreditAccount)
		b.WaitsFor = receiver + ", until " + t.ExpiresAt.UTC().Format(time.RFC3339)
		b.Next = receiver + ", by capturing or voiding; then the janitor, by letting it expire"
		b.NextActor = b.owner(t.CreditAccount)
	}
}

// explainPayment adds the payment of a bank transfer: attempts, discrepancies and the next step.
func (s *Settler) explainPayment(ctx context.Context, t ledger.Transfer, b *timelineBuilder) error {
	p, err := s.Payment(ctx, t.ID)
	if errors.Is(err, ErrNoPayment) {
		return nil
	}
	if err != nil {
		return err
	}
	b.TraceID = p.TraceID
	b.add(TimelineEntry{At: p.CreatedAt, Type: EntryPayment, Actor: Actor{Role: RoleKizo}, Amount: t.Amount.Minor},
		"payment recorded under the reference %s, before the bank was asked", p.Instruction.Ref)
	log, err := s.Log(ctx, t.ID)
	if err != nil {
		return err
	}
	for _, e := range log {
		entry := TimelineEntry{At: e.At, Type: EntryAttempt, Actor: actorOf(e), Attempt: e.Attempt, Outcome: e.Kind}
		b.add(entry, "attempt %d: %s", e.Attempt, sentence(e))
	}
	discrepancies, err := s.discrepanciesOf(ctx, p.Instruction.Ref)
	if err != nil {
		return err
	}
	for _, d := range discrepancies {
		entry := TimelineEntry{At: d.FoundAt, Type: EntryDiscrepancy, Actor: Actor{Role: RoleKizo}, Outcome: d.Kind}
		b.add(entry, "discrepancy found: %s (%s)", d.Kind, d.Detail)
		if !d.ClosedAt.IsZero() {
			entry.At = d.ClosedAt
			b.add(entry, "discrepancy closed: %s", d.Kind)
		}
	}
	switch {
	case p.State == ledger.PaymentNeedsReview:
		b.WaitsFor = "an operator's decision; the hold is kept"
		b.Next = "an operator: kizo ops payments resolve " + t.ID.String()
		b.NextActor = Actor{Role: RoleOperator}
	case !p.LeaseUntil.IsZero() && p.LeaseUntil.After(time.Now()):
		b.WaitsFor = "the bank's answer to attempt " + fmt.Sprint(p.Attempts)
		b.Next = "the worker that holds it until " + p.LeaseUntil.UTC().Format(time.RFC3339)
		b.NextActor = Actor{Role: RoleBank}
	case !p.NextAt.IsZero():
		b.WaitsFor = "its next attempt, due at " + p.NextAt.UTC().Format(time.RFC3339)
		b.Next = "a worker, or the janitor a second later"
		b.NextActor = Actor{Role: RoleKizo}
	}
	return nil
}

// actorOf returns the actor whose statement a log entry records.
func actorOf(e LogEntry) Actor {
	switch e.Kind {
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

// sentence describes a log entry.
func sentence(e LogEntry) string {
	if actorOf(e).Role == RoleOperator {
		return "an operator decided that the bank " + e.Kind + " it"
	}
	text := map[string]string{
		"executed":      "the bank executed it",
		"rejected":      "the bank rejected it",
		"unknown":       "no valid answer; the outcome is unknown and the bank will be asked again",
		"not_seen":      "the bank has not seen it, which is not a rejection; it was submitted again",
		"contradiction": "the bank contradicted itself; the outcome is unknown",
		"stopped":       "the worker was stopped; another one continues",
		"needs_review":  "given to an operator; the hold is kept",
		"callback":      "the bank sent a callback",
	}[e.Kind]
	if text == "" {
		text = e.Kind
	}
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}
