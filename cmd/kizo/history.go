package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/books"
	"github.com/JDevAman/kizo/money"
)

const (
	// firstEvent is a time before every event: a stream that starts there has all of them.
	firstEvent = "1970-01-01T00:00:00Z"

	// maxHistoryFailures is how often the connection may be lost without an event in between,
	// before a command that reads the history gives up: after about half a minute.
	maxHistoryFailures = 6
)

// readHistory passes the events of the user's transfers to each, oldest first: those after the
// event or time since, up to now. It continues after a lost connection.
func (a *app) readHistory(ctx context.Context, kizo *client.Client, since string, each func(client.Event) error) error {
	f := &follower{
		opts: &eventsOptions{app: a, untilLive: true}, kizo: kizo, since: since, pause: time.Second, sleep: sleep,
		each: each, maxFailures: maxHistoryFailures,
	}
	err := f.follow(ctx)
	if errors.Is(err, io.EOF) {
		return errors.New("the server ends the stream of events again and again")
	}
	return err
}

// checkBalances compares balances that were computed from events with those of the server, which
// computes them from postings.
func checkBalances(ctx context.Context, kizo *client.Client, wallets []books.Wallet) error {
	for _, w := range wallets {
		if w.Posted.IsZero() {
			continue
		}
		server, err := kizo.Balance(ctx, string(w.Currency), w.Posted)
		if err != nil {
			return err
		}
		if server.Balance != w.Balance {
			return fmt.Errorf("the events add up to %s, but the server's balance at %s is %s: report this as a bug of kizo",
				money.Format(w.Balance, w.Currency), w.Posted.UTC().Format(time.RFC3339Nano), money.Format(server.Balance, w.Currency))
		}
	}
	return nil
}
