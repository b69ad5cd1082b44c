package api_test

import (
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	h.post(alice, "/v1/transfers", pay(bob, 300)).want(201)
	h.authorize(alice, bob, 50)
	h.post(alice, "/v1/wallets", fields{"currency": "EUR"}).want(201)
	s := read[openapi.Summary](h.get(alice, "/v1/summary").want(200))
	testkit.Equal(t, "wallets", len(s.Wallets), 2)
	w := s.Wallets[0]
	testkit.Equal(t, "balance", w.Wallet.Balance, 700)
	testkit.Equal(t, "available", w.Wallet.Available, 650)
	testkit.Equal(t, "in", *w.Month.In, 1000)
	testkit.Equal(t, "out", *w.Month.Out, 300)
	testkit.Equal(t, "count", w.Month.Count, 2)
	testkit.Equal(t, "pending", s.Pending, openapi.PendingCounts{In: 0, Out: 1})
	testkit.Equal(t, "trend", len(w.Trend), 14)
	testkit.Equal(t, "today", w.Trend[13].Balance, 700)
	testkit.Equal(t, "its day", w.Trend[13].Day.Format(time.DateOnly), s.At.Format(time.DateOnly))
	testkit.Equal(t, "before", w.Trend[12].Balance, 0)
	testkit.Equal(t, "recent", len(s.Recent), 3)
	testkit.Equal(t, "newest", s.Recent[0].Kind, openapi.TransferKind("authorization"))
	testkit.Equal(t, "empty", s.Wallets[1].Trend[13].Balance, 0)
	his := read[openapi.Summary](h.get(bob, "/v1/summary").want(200))
	testkit.Equal(t, "bob's pending", his.Pending, openapi.PendingCounts{In: 1, Out: 0})
}

// TestMonthBeginsInTheUsersTimeZone: not at midnight UTC.
func TestMonthBeginsInTheUsersTimeZone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	before := read[openapi.Summary](h.get(alice, "/v1/summary").want(200))
	since := before.Wallets[0].Month.Since
	testkit.Equal(t, "UTC's month", since, time.Date(before.At.Year(), before.At.Month(), 1, 0, 0, 0, 0, time.UTC))
	start := before.At.Format(time.RFC3339Nano)
	h.post(alice, "/v1/transfers", pay(bob, 300)).want(201)
	month := read[openapi.Summary](h.get(alice, "/v1/summary?month_start="+start).want(200)).Wallets[0].Month
	testkit.Equal(t, "since", month.Since, before.At)
	testkit.Equal(t, "in", *month.In, 0)
	testkit.Equal(t, "out", *month.Out, 300)
	testkit.Equal(t, "count", month.Count, 1)
	whole := read[openapi.Summary](h.get(alice, "/v1/summary?month_start="+before.At.AddDate(0, 0, -31).Format(time.RFC3339)).want(200)).Wallets[0].Month
	testkit.Equal(t, "in, from 31 days ago", *whole.In, 1000)
	h.get(alice, "/v1/summary?month_start="+before.At.AddDate(0, 0, -33).Format(time.RFC3339)).wantProblem(openapi.ParameterMalformed)
	h.get(alice, "/v1/summary?month_start=yesterday").wantProblem(openapi.ParameterMalformed)
	ahead := read[openapi.Summary](h.get(alice, "/v1/summary?month_start="+before.At.AddDate(0, 0, 2).Format(time.RFC3339)).want(200)).Wallets[0].Month
	testkit.Equal(t, "from a clock that is ahead", *ahead.In+*ahead.Out, 0)
}
