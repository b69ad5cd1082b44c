package main

import (
	"context"
	"encoding/json"
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
	json      jsonFlag
	since     string
	limit     int
	untilLive bool
}

// eventLine is a line of kizo events: the transfer as kizo transfers shows it, and what happened.
type eventLine struct {
	EventID string    `json:"event_id"` // for --since
	At      time.Time `json:"at"`
	client.Transfer
}

func newEventsCommand(a *app) *cobra.Command {
	opts := &eventsOptions{app: a}
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens to your transfers, as it happens",
		Long: `Follow what happens to your transfers, as it happens: one line for each state that one takes, until Ctrl-C.

A broken line is mended without losing or repeating anything, for as long as it takes; stderr says so.
In a pipe, each line is a JSON object; its event_id goes into --since to go on after it.`,
		Example: `  kizo events
  kizo events --since 2h
  kizo events --since 2h --until-live --json=event_id,state,amount
  kizo events --limit 1 --json`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return eventsRun(cmd.Context(), opts) },
	}
	opts.json.addTo(cmd, a, eventLine{})
	flags := cmd.Flags()
	flags.StringVar(&opts.since, "since", "", "begin after this event_id, or at a time: "+timeFlagHelp+"; now when left out")
	flags.IntVarP(&opts.limit, "limit", "n", 0, "end after so many; 0 goes on")
	flags.BoolVar(&opts.untilLive, "until-live", false, "end when all that has happened so far has been told")
	return cmd
}

func eventsRun(ctx context.Context, opts *eventsOptions) error {
	if opts.limit < 0 {
		return usagef("--limit %d: it is 1 or more, or 0 for no end", opts.limit)
	}
	since, err := opts.begin()
	if err != nil {
		return err
	}
	if opts.app.io.OutTerminal && !opts.json.set { // where it shows the time of day
		if err := opts.app.checkZone(); err != nil {
			return err
		}
	}
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	f := &follower{opts: opts, kizo: kizo, since: since, pause: time.Second, sleep: sleep}
	return f.follow(ctx)
}

// begin is what the server is told to begin at: an id as it is, a time as the server reads it.
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

// isEventID tells an id from a time. The server reads it; here it only has to look like none of the times.
func isEventID(text string) bool {
	return len(text) == 22 && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// follower reads one stream after the other.
type follower struct {
	opts  *eventsOptions
	kizo  *client.Client
	since string
	told  int
	lost  bool          // the line is broken, and the user knows
	live  bool          // the server has streamed events, so its address is right
	pause time.Duration // before the next attempt
	sleep func(context.Context, time.Duration) error
}

// errFollowed ends following in order.
var errFollowed = errors.New("all that was asked for has been told")

func (f *follower) follow(ctx context.Context) error {
	for {
		err := f.read(ctx)
		switch {
		case errors.Is(err, errFollowed):
			return nil
		case ctx.Err() != nil:
			return context.Canceled
		case !f.retryable(err):
			return err
		}
		if err := f.wait(ctx, err); err != nil {
			return context.Canceled
		}
	}
}

// read reads one stream to its end.
func (f *follower) read(ctx context.Context) error {
	stream, err := f.kizo.Events(ctx, client.EventOptions{Since: f.since})
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
		if event.ID != "" {
			f.since = event.ID
		}
		f.pause = time.Second
		switch event.Type {
		case client.EventTransfer:
			if err := f.print(event); err != nil {
				return err
			}
			if f.told++; f.told == f.opts.limit {
				return errFollowed
			}
		case client.EventLive:
			if f.opts.untilLive {
				return errFollowed
			}
			if f.lost {
				f.lost = false
				f.opts.app.io.note("Connected again; nothing was missed.")
			}
		}
	}
}

// wait says what is wrong, once, and waits a little longer from one attempt to the next. A stream that the
// server ended in order is simply opened again.
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
		f.opts.app.io.note("Connection lost (%s); trying again until it is back.", printable.Text(why))
	}
	pause := f.pause/2 + time.Duration(rand.Int64N(int64(f.pause/2)+1)) //nolint:gosec // jitter
	f.pause = min(2*f.pause, 30*time.Second)
	var refused *client.Error
	if errors.As(err, &refused) {
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

// mendable tells whether a new stream may do better. What is not Kizo's own answer comes from something in
// front of it, as a maintenance page does, whatever its status; only where nothing has been streamed yet
// can it mean that the address is wrong.
func (f *follower) retryable(err error) bool {
	var (
		unwritten *outputError
		unreached *client.UnreachableError
		notKizo   *client.ProtocolError
	)
	if errors.As(err, &unwritten) {
		return false
	}
	if errors.Is(err, io.EOF) || errors.As(err, &unreached) || errors.As(err, &notKizo) {
		return true
	}
	var refused *client.Error
	if !errors.As(err, &refused) {
		return false
	}
	if refused.Code == "" && f.live {
		return true
	}
	switch refused.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return refused.Status >= http.StatusInternalServerError
}

// print prints one line: an object in pipes and for --json, for people on a terminal.
func (f *follower) print(e client.Event) error {
	a := f.opts.app
	if a.io.OutTerminal && !f.opts.json.set {
		return a.write(a.eventText(e))
	}
	line, err := f.opts.json.pick(eventLine{EventID: e.ID, At: e.At, Transfer: *e.Transfer})
	if err != nil {
		return unwritten(err)
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return unwritten(err)
	}
	return a.write(string(printable.JSON([]byte(out.String()))))
}

// eventText is an event for people, in one line. Where the terminal is narrow, memo, reason and names are
// shortened first, then the other columns are left out. State and amounts are always whole.
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
	room := a.io.Width
	if room == 0 {
		room = math.MaxInt
	}
	for _, optional := range []*string{&kind, &clock, &authorized} {
		if len(clock+fixed+kind+amount+authorized) > room {
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
	if left := room - len(line) - len(gap); left > 0 { // line is ASCII
		line += gap + printable.Truncate(rest, left)
	}
	return line + "\n"
}
