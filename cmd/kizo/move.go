package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/internal/trace"
)

// keyOptions are the flags of every command that moves money.
type keyOptions struct {
	key string
}

func (o *keyOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.key, "idempotency-key", "", "a key moves money at most once (default: a new one)")
}

// use returns the key to send: the given one, or a new one.
func (o *keyOptions) use(cmd *cobra.Command) (string, error) {
	if !cmd.Flags().Changed("idempotency-key") {
		o.key = client.NewKey()
	}
	if err := client.CheckKey(o.key); err != nil {
		return "", usage(err)
	}
	return o.key, nil
}

// move records a command, sends it, shows its result and records the outcome. show returns the
// transfer in the state that it has shown. what describes the command to the user: "transfer 12.50
// USD to @bob".
func (a *app) move(ctx context.Context, kizo *client.Client, command client.Command, what string,
	show func(client.Receipt) (client.Transfer, error),
) error {
	if err := a.confirmMove(ctx, what); err != nil {
		return err
	}
	who, err := a.who(ctx, kizo)
	if err != nil {
		return err
	}
	named := trace.From(ctx)
	if !named.Valid() { // on the dashboard, every command has a trace of its own
		named = trace.New()
	}
	if a.verbose {
		a.io.note("idempotency key: %s", command.Key)
		a.io.note("trace: %s", named.TraceID())
	}
	entry := &intent{Trace: named.String(), Server: kizo.Server(), UserID: who.Id.String(), Handle: who.Handle, What: what, Command: command}
	log, err := a.intents()
	if err != nil {
		return err
	}
	if err := log.Begin(ctx, entry); err != nil {
		return fmt.Errorf("nothing was sent, because it could not be recorded first: %w", err)
	}
	receipt, err := a.sendIntent(ctx, kizo, *entry)
	if err != nil {
		return err
	}
	shown, err := show(receipt)
	a.learn(func(k *knowledge) { k.addTransfers([]client.Transfer{shown}) })
	return a.finish(ctx, *entry, shown, err)
}

// sendIntent sends a recorded command, and records it if the answer says that no money moved. After
// a success the intent is still open: finish closes it once its result has been shown.
func (a *app) sendIntent(ctx context.Context, kizo *client.Client, entry intent) (client.Receipt, error) {
	if named, ok := trace.Parse(entry.Trace); ok { // a retry belongs to the same trace
		ctx = trace.Into(ctx, named)
	}
	receipt, err := kizo.Send(ctx, entry.Command)
	if end, known := refusalOf(entry, err); known {
		a.endIntent(ctx, end)
	}
	if refused, ok := errors.AsType[*client.Error](err); receipt.Replayed || (ok && refused.Replayed) {
		if err == nil || !a.json { // with --json, an error is all there is on stderr
			a.io.note("replayed: this idempotency key was used before, no money moved again")
		}
	}
	return receipt, err
}

// endIntent records an outcome. The answer has arrived: an interruption must not keep it from being
// recorded.
func (a *app) endIntent(ctx context.Context, end intentEnd) {
	log, err := a.intents()
	if err == nil {
		err = log.End(context.WithoutCancel(ctx), end)
	}
	if err != nil {
		a.io.note("kizo: the outcome could not be recorded, kizo retry will request it again: %s", printable.Text(err.Error()))
	}
}

// refusalOf returns what to record about an error that proves that no money moved.
func refusalOf(entry intent, err error) (intentEnd, bool) {
	var (
		refused *client.Error
		unknown *client.UnknownOutcomeError
	)
	switch {
	case err == nil, errors.As(err, &unknown):
		return intentEnd{}, false
	case errors.As(err, &refused) && refused.TransferID != "":
		return intentEnd{ID: entry.ID, Outcome: "refused", Transfer: refused.TransferID, Settles: entry.fingerprint()}, true
	}
	end := intentEnd{ID: entry.ID, Outcome: "not_done"}
	if entry.Command.Resumed {
		end.Settles = entry.fingerprint() // this answer is final, whatever happened before
	}
	return end, true
}

// who returns the user that the money belongs to.
func (a *app) who(ctx context.Context, kizo *client.Client) (client.User, error) {
	found, err := a.credential()
	if err != nil {
		return client.User{}, err
	}
	if found.origin != "" {
		return kizo.Me(ctx) // neither a token nor a key names its user
	}
	stored, err := a.sessions(kizo.Server())
	if err != nil {
		return client.User{}, err
	}
	held, err := stored.Load(ctx)
	if err != nil {
		return client.User{}, err
	}
	if held.AccessToken == "" {
		return client.User{}, client.ErrNotLoggedIn
	}
	if owner := stored.owner; owner != "" && owner != held.User.Handle {
		return client.User{}, withHint(usagef("this context is for @%s, and the session in it is of @%s", owner, held.User.Handle), "kizo login "+owner)
	}
	return held.User, nil
}

// intents returns the log of recorded commands.
func (a *app) intents() (*intentLog, error) {
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	return &intentLog{dir: state, now: a.now}, nil
}

// openIntents returns the commands without a known outcome, the oldest first.
func (a *app) openIntents() ([]intent, error) {
	log, err := a.intents()
	if err != nil {
		return nil, err
	}
	return log.Open()
}

// settled waits until a pending transfer ends or the deadline passes, and returns its last known
// state. The only error is that the user interrupted the wait.
func settled(ctx context.Context, kizo *client.Client, t client.Transfer, deadline time.Time) (client.Transfer, error) {
	const pause = 500 * time.Millisecond
	for t.State == client.Pending && time.Until(deadline) > 0 {
		timer := time.NewTimer(min(pause, time.Until(deadline)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return t, ctx.Err()
		}
		if now, err := kizo.Transfer(ctx, t.Id); err == nil {
			t = now
		} else if ctx.Err() != nil {
			return t, ctx.Err()
		} // on any other error, the accepted transfer counts as pending
	}
	return t, nil
}

// ending turns the state of a transfer that was waited for into an error, unless it is posted.
func ending(t client.Transfer) error {
	id := t.Id.String()
	switch t.State {
	case client.Voided, client.Refused:
		reason := "no reason was given"
		if t.Reason != nil && *t.Reason != "" {
			reason = strings.ReplaceAll(*t.Reason, "_", " ")
		}
		return withHint(&exitError{exit: exitRefused, code: "rejected", transferID: id,
			err: fmt.Errorf("the %s of %s was %s: %s", t.Kind, amountOf(t.Amount, t.Currency), t.State, reason)},
			"kizo transfers show "+id)
	case client.Pending:
		return withHint(&exitError{exit: exitStillPending, code: "still_pending", transferID: id,
			err: fmt.Errorf("the %s of %s is still pending: the bank has not answered", t.Kind, amountOf(t.Amount, t.Currency))},
			"kizo transfers show "+id)
	}
	return nil
}
