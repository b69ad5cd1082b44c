package api_test

import (
	"testing"
	"time"

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
	equal(t, "wallets", len(s.Wallets), 2)
	w := s.Wallets[0]
	equal(t, "balance", w.Wallet.Balance, 700)
	equal(t, "available", w.Wallet.Available, 650)
	equal(t, "in", *w.Month.In, 1000)
	equal(t, "out", *w.Month.Out, 300)
	equal(t, "count", w.Month.Count, 2)
	equal(t, "pending", s.Pending, openapi.PendingCounts{In: 0, Out: 1})
	equal(t, "trend", len(w.Trend), 14)
	equal(t, "today", w.Trend[13].Balance, 700)
	equal(t, "its day", w.Trend[13].Day.Format(time.DateOnly), s.At.Format(time.DateOnly))
	equal(t, "before", w.Trend[12].Balance, 0)
	equal(t, "recent", len(s.Recent), 3)
	equal(t, "newest", s.Recent[0].Kind, openapi.TransferKind("authorization"))
	equal(t, "empty", s.Wallets[1].Trend[13].Balance, 0)
	his := read[openapi.Summary](h.get(bob, "/v1/summary").want(200))
	equal(t, "bob's pending", his.Pending, openapi.PendingCounts{In: 1, Out: 0})
}

// TestMonthBeginsInTheUsersTimeZone: not at midnight UTC.
func TestMonthBeginsInTheUsersTimeZone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	before := read[openapi.Summary](h.get(alice, "/v1/summary").want(200))
	since := before.Wallets[0].Month.Since
	equal(t, "UTC's month", since, time.Date(before.At.Year(), before.At.Month(), 1, 0, 0, 0, 0, time.UTC))
	start := before.At.Format(time.RFC3339Nano)
	h.post(alice, "/v1/transfers", pay(bob, 300)).want(201)
	month := read[openapi.Summary](h.get(alice, "/v1/summary?month_start="+start).want(200)).Wallets[0].Month
	equal(t, "since", month.Since, before.At)
	equal(t, "in", *month.In, 0)
	equal(t, "out", *month.Out, 300)
	equal(t, "count", month.Count, 1)
	whole := read[openapi.Summary](h.get(alice, "/v1/summary?month_start="+before.At.AddDate(0, 0, -31).Format(time.RFC3339)).want(200)).Wallets[0].Month
	equal(t, "in, from 31 days ago", *whole.In, 1000)
	h.get(alice, "/v1/summary?month_start="+before.At.AddDate(0, 0, -33).Format(time.RFC3339)).wantProblem(openapi.ParameterMalformed)
	h.get(alice, "/v1/summary?month_start=yesterday").wantProblem(openapi.ParameterMalformed)
	ahead := read[openapi.Summary](h.get(alice, "/v1/summary?month_start="+before.At.AddDate(0, 0, 2).Format(time.RFC3339)).want(200)).Wallets[0].Month
	equal(t, "from a clock that is ahead", *ahead.In+*ahead.Out, 0)
}
