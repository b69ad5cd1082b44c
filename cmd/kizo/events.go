package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

type eventsOptions struct {
	app       *app
	output    outputFlags
	since     string
	limit     int
	untilLive bool

	exec       execution
	cursorPath string // of --exec
}

// eventLine is one line of output of kizo events: the transfer as kizo transfers shows it, and what
// happened.
type eventLine struct {
	EventID string    `json:"event_id"` // for --since
	At      time.Time `json:"at"`
	client.Transfer
}

func newEventsCommand(a *app) *cobra.Command {
	opts := &eventsOptions{app: a, exec: execution{app: a, sleep: sleep}}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow the events of your transfers, live",
		Long: `Follow the events of your transfers, live: one line for each change of state, until Ctrl-C.

kizo reconnects forever after a lost connection, without losing or repeating an event; stderr says so.
In a pipe, each line is a JSON object; pass its event_id to --since to continue after it.

With --exec, a shell command runs for each event, one after the other, and gets the JSON object on stdin. An
event is delivered at least once: kizo moves its cursor, a file, after the command has ended with exit code 0, and
repeats the event if kizo is killed in between; the event_id is the same. After --attempts failures, with
pauses from 1 s to 30 s, kizo ends with exit code 1, and the next start repeats that event. The command gets
the signals SIGINT and SIGTERM of kizo, and its environment has neither an API key nor a token.`,
		Example: `  kizo events
  kizo events --since 2h
  kizo events --since 2h --until-live --json=event_id,state,amount
  kizo events --limit 1 --json
  kizo events --exec 'jq -r .memo >> memos.txt'`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return eventsRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, eventLine{}, eventColumns...)
	opts.addRange(cmd)
	opts.exec.addTo(cmd, &opts.cursorPath)
	return cmd
}

// addRange adds the flags that say which events.
func (o *eventsOptions) addRange(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.since, "since", "", "start after this event_id, or at a time: "+timeFlagHelp+"; default: now")
	flags.IntVarP(&o.limit, "limit", "n", 0, "exit after this many events; 0 means no limit")
	flags.BoolVar(&o.untilLive, "until-live", false, "exit after the events up to now")
}

// check checks the flags, before any request.
func (o *eventsOptions) check() error {
	if o.limit < 0 {
		return usagef("--limit %d: use 1 or more, or 0 for no limit", o.limit)
	}
	if o.app.human() { // where it shows the time of day
		return o.app.checkZone()
	}
	return nil
}

func eventsRun(ctx context.Context, opts *eventsOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	switch {
	case opts.exec.command != "":
		return opts.exec.events(ctx, opts)
	case opts.cursorPath != "":
		return usagef("--cursor goes with --exec")
	}
	since, err := opts.begin()
	if err != nil {
		return err
	}
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	f := &follower{opts: opts, kizo: kizo, since: since, pause: time.Second, sleep: sleep}
	return f.follow(ctx)
}

// begin is where the server starts the stream: an id unchanged, a time in the server's form.
func (o *eventsOptions) begin() (string, error) {
	if o.since == "" || isEventID(o.since) {
		return o.since, nil
	}
	at, err := o.app.parseTime(o.since)
	if err != nil && dateAlone.MatchString(o.since) {
		return "", err
	}
	if err != nil {
		return "", withHint(usagef("%q is neither a time nor the event_id of an event", o.since), "kizo events --since 2h")
	}
	return at.UTC().Format(time.RFC3339Nano), nil
}

// isEventID tells an id from a time. The server parses it; here it only must not look like a time.
func isEventID(text string) bool {
	return len(text) == 22 && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// follower reads one stream after another.
type follower struct {
	opts    *eventsOptions
	kizo    *client.Client
	since   string
	printed int
	lost    bool          // the connection is lost, and the user was informed
	live    bool          // the server has streamed events, so its address is right
	pause   time.Duration // the pause before the next attempt
	sleep   func(context.Context, time.Duration) error

	// For commands that read the history.
	each        func(client.Event) error    // uses an event of a transfer; nil prints it
	caughtUp    func(position string) error // is called after all events up to now; may be nil
	maxFailures int                         // ends after this many lost connections without an event; 0 never does
	failures    int
}

// unusedError is the error of an event that was received and not used. A new stream would begin
// after the events that were used, but nothing says that the next attempt has another result.
type unusedError struct{ error }

func (e *unusedError) Unwrap() error { return e.error }

// errFollowed ends following without an error.
var errFollowed = errors.New("all requested events were printed")

func (f *follower) follow(ctx context.Context) error {
	for {
		err := f.read(ctx)
		unused, isUnused := errors.AsType[*unusedError](err)
		switch {
		case errors.Is(err, errFollowed):
			return nil
		case ctx.Err() != nil:
			return context.Canceled
		case isUnused:
			return unused.error
		case !f.retryable(err):
			return err
		}
		if f.failures++; f.failures == f.maxFailures {
			return err
		}
		if err := f.wait(ctx, err); err != nil {
			return context.Canceled
		}
	}
}

// read reads one stream to its end.
func (f *follower) read(ctx context.Context) error {
	stream, err := f.kizo.Events(ctx, client.EventOptions{Since: f.since, UntilLive: f.opts.untilLive})
	if err != nil {
		return err
	}
	defer stream.Close()
	f.live = true
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		f.pause, f.failures = time.Second, 0
		switch event.Type {
		case client.EventTransfer:
			if err := f.use(event); err != nil {
				return &unusedError{err}
			}
			f.since = event.ID
			if f.printed++; f.printed == f.opts.limit {
				return errFollowed
			}
		case client.EventLive:
			f.since = event.ID
			if f.caughtUp != nil {
				if err := f.caughtUp(event.ID); err != nil {
					return &unusedError{err}
				}
			}
			if f.opts.untilLive {
				return errFollowed
			}
			if f.lost {
				f.lost = false
				f.opts.app.io.note("Reconnected; no event was missed.")
			}
		}
	}
}

// wait reports a lost connection, once, and waits with increasing pauses before the next attempt.
// After a stream that the server closed normally, it reconnects at once.
func (f *follower) wait(ctx context.Context, err error) error {
	if errors.Is(err, io.EOF) && f.pause == time.Second {
		f.pause = 2 * time.Second                                                    // unless it ends at once again
		return f.sleep(ctx, time.Duration(rand.Int64N(int64(300*time.Millisecond)))) //nolint:gosec // jitter
	}
	if !f.lost {
		f.lost = true
		why := err.Error()
		if errors.Is(err, io.EOF) {
			why = "the server ends the stream"
		}
		f.opts.app.io.note("Connection lost (%s); reconnecting.", printable.Text(why))
	}
	pause := f.pause/2 + time.Duration(rand.Int64N(int64(f.pause/2)+1)) //nolint:gosec // jitter
	f.pause = min(2*f.pause, 30*time.Second)
	if refused, ok := errors.AsType[*client.Error](err); ok {
		pause = max(pause, min(refused.RetryAfter, time.Minute))
	}
	return f.sleep(ctx, pause)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryable reports whether a new stream may succeed. A response that is not Kizo's own comes from
// something in front of it, such as a maintenance page, whatever its status. Only if nothing has
// been streamed yet can it mean that the address is wrong.
func (f *follower) retryable(err error) bool {
	if _, notKizo := errors.AsType[*client.ProtocolError](err); notKizo || errors.Is(err, io.EOF) {
		return true
	}
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == "" && f.live {
		return true
	}
	return transient(err)
}

// transient reports whether the same request may succeed later: no server was reached, or the
// answer says so.
func transient(err error) bool {
	if _, unreached := errors.AsType[*client.UnreachableError](err); unreached {
		return true
	}
	refused, ok := errors.AsType[*client.Error](err)
	if !ok {
		return false
	}
	switch refused.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return refused.Status >= http.StatusInternalServerError
}

func (f *follower) use(e client.Event) error {
	if f.each != nil {
		return f.each(e)
	}
	return f.print(e)
}

var eventColumns = append([]column{{title: "EVENT ID", id: true}, {title: "AT"}}, transferColumns...)

// print prints one event: text on a terminal, a JSON object in a pipe, or what --output says.
func (f *follower) print(e client.Event) error {
	a := f.opts.app
	if a.human() {
		return a.write(a.eventText(e))
	}
	flags := f.opts.output
	switch flags.format() {
	case formatTSV, formatCSV, formatID:
		if f.printed > 0 {
			flags.header = "no"
		}
		return a.printRows(flags, eventColumns, [][]string{append([]string{e.ID, a.when(e.At)}, a.transferRow(*e.Transfer)...)})
	}
	flags.chosen = formatJSONL // a stream has no end, so that it cannot be an array
	return a.printJSON(flags, eventLine{EventID: e.ID, At: e.At, Transfer: *e.Transfer})
}

// eventText formats an event as one line of text. On a narrow terminal, it first shortens memo,
// reason and names, then drops the other columns. State and amounts are always whole.
func (a *app) eventText(e client.Event) string {
	t := *e.Transfer
	sign := "+"
	if t.Direction == client.Out {
		sign = "-"
	}
	clock := e.At.In(a.now().Location()).Format(time.TimeOnly) + gap
	kind := fmt.Sprintf("%-13s ", t.Kind)
	fixed := fmt.Sprintf("%-8s ", t.State)
	amount := fmt.Sprintf("%14s", sign+amountOf(t.Amount, t.Currency))
	authorized := ""
	if t.AuthorizedAmount != nil && *t.AuthorizedAmount != t.Amount {
		authorized = " of " + amountOf(*t.AuthorizedAmount, t.Currency)
	}
	free := a.io.Width
	if free == 0 {
		free = math.MaxInt
	}
	for _, optional := range []*string{&kind, &clock, &authorized} {
		if len(clock+fixed+kind+amount+authorized) > free {
			*optional = ""
		}
	}
	line := clock + fixed + kind + amount + authorized
	rest := printable.Text(a.counterparty(t))
	for _, more := range []string{text(t.Memo), text(t.Reason)} {
		if more != "" {
			rest += gap + printable.Text(more)
		}
	}
	if left := free - len(line) - len(gap); left > 0 { // line is ASCII
		line += gap + printable.Truncate(rest, left)
	}
	return line + "\n"
}
