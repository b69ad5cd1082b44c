package tui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/localtime"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/money"
)

// Snapshot is the dashboard's data at one time, for logs, screen readers and scripts.
type Snapshot struct {
	At     time.Time `json:"at"`
	Server string    `json:"server"`
	User   Person    `json:"user"`
	client.Summary
	Ops *client.OpsSnapshot `json:"ops"` // null for all but operators, and if the server sent none in time
}

// Person is the user who is logged in.
type Person struct {
	Handle string `json:"handle"`
	Name   string `json:"name"`
	Role   string `json:"role"`
}

// snapshotServer is the part of the server that a snapshot needs.
type snapshotServer interface {
	Server() string
	Me(ctx context.Context) (client.User, error)
	Summary(ctx context.Context, monthStart time.Time) (client.Summary, error)
	Events(ctx context.Context, options client.EventOptions) (*client.EventStream, error)
}

// snapshotWait is the maximum time for an operators' snapshot; the server sends one per second.
const snapshotWait = 3 * time.Second

// TakeSnapshot requests everything once. An operator's queues and health may be missing; every
// other failure is an error.
func TakeSnapshot(ctx context.Context, server snapshotServer, now time.Time) (Snapshot, error) {
	s := Snapshot{At: now.UTC(), Server: server.Server()}
	me, err := server.Me(ctx)
	if err != nil {
		return s, err
	}
	s.User = Person{Handle: me.Handle, Name: me.Name, Role: string(me.Role)}
	if s.Summary, err = server.Summary(ctx, localtime.MonthStart(now)); err != nil {
		return s, err
	}
	if me.Role == client.UserRoleOperator {
		s.Ops, err = opsOnce(ctx, server)
	}
	return s, err
}

// opsOnce returns the first snapshot of the stream, or nil.
func opsOnce(ctx context.Context, server snapshotServer) (*client.OpsSnapshot, error) {
	waiting, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	stream, err := server.Events(waiting, client.EventOptions{Ops: true})
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
		return nil, nil // a token of a narrower scope
	case err != nil && waiting.Err() != nil && ctx.Err() == nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer stream.Close()
	for {
		event, err := stream.Next()
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, nil // the snapshot is valid without it and says that it is missing
		case event.Ops != nil:
			return event.Ops, nil
		}
	}
}

// Text returns the snapshot as plain lines without frames and colors. Times are RFC 3339, UTC.
func (s Snapshot) Text() string {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("Kizo at %s, as @%s (%s), %s", printable.Text(s.Server), printable.Text(s.User.Handle), printable.Text(s.User.Name), stamp(s.At))

	line("\nWallets")
	if len(s.Wallets) == 0 {
		line("  none yet: kizo wallet open CURRENCY")
	}
	for _, w := range s.Wallets {
		amount := func(minor int64) string { return money.Format(minor, money.Currency(w.Wallet.Currency)) }
		frozen := ""
		if w.Wallet.Status == client.Frozen {
			frozen = ", FROZEN"
		}
		line("  available %s, held %s, balance %s%s", amount(w.Wallet.Available), amount(w.Wallet.Held), amount(w.Wallet.Balance), frozen)
		if w.Month.In != nil && w.Month.Out != nil {
			line("  this month in %s, out %s", amount(*w.Month.In), amount(*w.Month.Out))
		}
	}

	line("\nRecent transfers (%d pending to you, %d from you)", s.Pending.In, s.Pending.Out)
	if len(s.Recent) == 0 {
		line("  none yet: kizo deposit 100")
	}
	for _, t := range s.Recent {
		line("  %s", TransferLine(t))
	}
	if s.Ops != nil {
		opsText(line, s.Ops, s.At)
	} else if s.User.Role == string(client.UserRoleOperator) {
		line("\nQueues and health: the server sent none")
	}
	return out.String()
}

// TransferLine returns a transfer as one line, with untrusted text cleaned.
func TransferLine(t client.Transfer) string {
	other, word := t.From, "from"
	if t.Direction == client.Out {
		other, word = t.To, "to"
	}
	who := "the bank"
	if other.Handle != nil {
		who = "@" + printable.Text(*other.Handle)
	}
	line := fmt.Sprintf("%s %s %s %s %s %s %s", stamp(t.CreatedAt), t.State, t.Kind, money.Format(t.Amount, money.Currency(t.Currency)), word, who, t.Id)
	if t.AuthorizedAmount != nil && *t.AuthorizedAmount != t.Amount {
		line += " of " + money.Format(*t.AuthorizedAmount, money.Currency(t.Currency)) + " authorized"
	}
	if memo := value(t.Memo); memo != "" {
		line += ` "` + printable.Text(memo) + `"`
	}
	if reason := value(t.Reason); reason != "" {
		line += ", because " + printable.Text(reason)
	}
	return line
}

func opsText(line func(string, ...any), o *client.OpsSnapshot, now time.Time) {
	line("\nQueues")
	if o.Queues == nil {
		line("  unknown: Redis does not answer")
	} else {
		for _, q := range *o.Queues {
			state := "running"
			if q.Paused {
				state = "paused"
			}
			line("  %s %s: %d pending, %d active, %d scheduled, %d retry, %d archived; oldest waits %s; %d done, %d failed",
				printable.Text(q.Name), state, q.Pending, q.Active, q.Scheduled, q.Retry, q.Archived, oldest(q), q.ProcessedTotal, q.FailedTotal)
		}
	}
	p := pen{} // ASCII, no colors
	line("\nHealth")
	for _, pair := range append(append(append(p.apiHealth(o), p.databaseHealth(o, "")...), p.bankHealth(o, "")...), p.booksHealth(o, now)...) {
		line("  %s: %s", pair.Name, printable.Text(pair.Value))
	}
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
