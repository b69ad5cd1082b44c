package tui

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// walletServer is the part of the server that the Wallet screen needs besides the summary.
type walletServer interface {
	Balance(ctx context.Context, currency string, at time.Time) (client.Balance, error)
	OpenWallet(ctx context.Context, currency string) (client.Wallet, error)
}

// walletData is what the screen requests for the selected wallet.
type walletData struct {
	currency string
	moves    []client.Transfer // the newest posted transfers, the latest first
	all      bool              // moves are all of the wallet
	pending  []client.Transfer // of every wallet
	recent   []client.Transfer // of every wallet
	monthAgo int64             // the balance 30 days before summaryAt
	at       time.Time         // of the summary for which it was requested
}

type walletMsg struct {
	data walletData
	err  error
}

const (
	// walletPause is the minimum time between two requests for a wallet.
	walletPause = 2 * time.Second
	// pendingLimit is the number of pending transfers that are requested.
	pendingLimit int32 = 20
	month              = 30 * 24 * time.Hour
)

// refresh implements refresher. It requests the data of the selected wallet if the summary is newer
// than that.
func (s *walletScreen) refresh(m *shared) tea.Cmd {
	s.hidden = false
	currency := s.currency(m)
	changed := s.data.currency != currency || m.summary != nil && !s.data.at.Equal(m.summary.At)
	if m.summary == nil || !changed || s.asked == currency && m.now.Sub(s.askedAt) < walletPause {
		return nil
	}
	s.asked, s.askedAt = currency, m.now
	server, at := m.server, m.summary.At
	return m.ask(func(ctx context.Context) tea.Msg {
		data, err := fetchWallet(ctx, server, currency, at)
		return walletMsg{data, err}
	})
}

func fetchWallet(ctx context.Context, server Server, currency string, at time.Time) (walletData, error) {
	data, limit, pendingMax := walletData{currency: currency, at: at}, listLimit, pendingLimit
	posted, pending := string(client.Posted), string(client.Pending)
	moves, err := server.Transfers(ctx, client.ListTransfersParams{Currency: &currency, State: &posted, Limit: &limit})
	if err != nil {
		return data, err
	}
	data.moves, data.all = moves.Items, moves.NextCursor == nil
	slices.SortStableFunc(data.moves, func(a, b client.Transfer) int { return cmp.Compare(postedAt(b).UnixNano(), postedAt(a).UnixNano()) })
	waiting, err := server.Transfers(ctx, client.ListTransfersParams{State: &pending, Limit: &pendingMax})
	if err != nil {
		return data, err
	}
	data.pending = waiting.Items
	recent, err := server.Transfers(ctx, client.ListTransfersParams{Limit: &limit})
	if err != nil {
		return data, err
	}
	data.recent = recent.Items
	before, err := server.Balance(ctx, currency, at.Add(-month))
	data.monthAgo = before.Balance
	return data, err
}

func postedAt(t client.Transfer) time.Time {
	if t.ResolvedAt != nil {
		return *t.ResolvedAt
	}
	return t.CreatedAt
}

// balances returns the balance at the end of each of so many equal parts of a span that ends now.
// Before the oldest movement that is known, it is that of the end of the day before, and NaN where
// that is not known either.
func balances(w client.WalletSummary, data walletData, now time.Time, span time.Duration, parts int) []float64 {
	values := make([]float64, parts)
	balance, next := w.Wallet.Balance, 0
	for i := parts - 1; i >= 0; i-- {
		at := now.Add(-span * time.Duration(parts-1-i) / time.Duration(parts))
		for next < len(data.moves) && postedAt(data.moves[next]).After(at) {
			if data.moves[next].Direction == client.In {
				balance -= data.moves[next].Amount
			} else {
				balance += data.moves[next].Amount
			}
			next++
		}
		values[i] = float64(balance)
		if next == len(data.moves) && !data.all {
			values[i] = endOfDayBefore(w.Trend, at, now)
		}
	}
	return values
}

// endOfDayBefore returns the balance at the end of the day before. That of today is not the end of
// a day, and the movements of today before the known ones are not known.
func endOfDayBefore(trend []client.DayBalance, at, now time.Time) float64 {
	const dayLength = 24 * time.Hour
	day := at.UTC().Truncate(dayLength)
	if !day.Before(now.UTC().Truncate(dayLength)) {
		return math.NaN()
	}
	for _, d := range slices.Backward(trend) {
		if d.Day.Before(day) {
			return float64(d.Balance)
		}
	}
	return math.NaN()
}

// spanOf returns the time that the chart of a wallet shows: the shortest that has all known
// movements, if there were none before them in the last 14 days.
func spanOf(w client.WalletSummary, data walletData, now time.Time) (span time.Duration, name string) {
	spans := []struct {
		span time.Duration
		name string
	}{{time.Minute, "1 min"}, {15 * time.Minute, "15 min"}, {time.Hour, "1 h"}, {6 * time.Hour, "6 h"}, {24 * time.Hour, "24 h"},
		{3 * 24 * time.Hour, "3 days"}, {7 * 24 * time.Hour, "7 days"}}
	if (data.all || movedTodayOnly(w.Trend)) && len(data.moves) > 0 {
		oldest := now.Sub(postedAt(data.moves[len(data.moves)-1]))
		for _, s := range spans {
			if oldest < s.span*19/20 {
				return s.span, s.name
			}
		}
	}
	return 14 * 24 * time.Hour, "14 days"
}

func movedTodayOnly(trend []client.DayBalance) bool {
	for _, day := range trend[:max(0, len(trend)-1)] {
		if day.Balance != trend[0].Balance {
			return false
		}
	}
	return true
}

// payee is a user to whom the wallet paid.
type payee struct {
	party client.Party
	times int
	total int64
	last  time.Time
}

// payees returns those of the known movements, the last one first.
func (d walletData) payees() []payee {
	var found []payee
	for _, t := range d.moves {
		if t.Direction != client.Out || t.To.Handle == nil || t.Reverses != nil {
			continue
		}
		i := slices.IndexFunc(found, func(p payee) bool { return *p.party.Handle == *t.To.Handle })
		if i < 0 {
			i = len(found)
			found = append(found, payee{party: t.To, last: postedAt(t)})
		}
		found[i].times++
		found[i].total += t.Amount
	}
	return found
}

// waitsFor says what a pending transfer waits for.
func waitsFor(t client.Transfer, now time.Time) string {
	until := ""
	if t.ExpiresAt != nil {
		until = " until " + t.ExpiresAt.In(now.Location()).Format("Jan 02 15:04")
	}
	switch {
	case t.Kind == client.TransferKindDeposit, t.Kind == client.TransferKindWithdrawal:
		return "the bank has not answered yet"
	case t.Direction == client.In:
		return "you may capture it" + until
	case t.To.Handle != nil:
		return "@" + *t.To.Handle + " may capture it" + until
	}
	return "it may be captured" + until
}
