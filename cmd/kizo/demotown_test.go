package main

import (
	"reflect"
	"testing"
	"time"
)

// TestTownStory plays stories of many days and seeds on paper: no wallet is ever overdrawn, except
// by the payment that must be refused, and each step finds what it needs.
func TestTownStory(t *testing.T) {
	for seed := range uint64(20) {
		for day := range 31 {
			today := time.Date(2026, 11, 1+day, 12, 0, 0, 0, time.UTC)
			story := townStory(today, seed)
			if !reflect.DeepEqual(story, townStory(today, seed)) {
				t.Fatal("one seed tells two stories")
			}
			playOnPaper(t, story)
		}
	}
}

func playOnPaper(t *testing.T, story []townStep) {
	t.Helper()
	type wallet struct{ handle, currency string }
	available := map[wallet]int64{}
	for _, r := range townResidents() {
		for _, o := range r.wallets {
			available[wallet{r.handle, o.currency}] = o.amount
		}
	}
	holds, received, kinds, currencies := map[string]townStep{}, map[string]townStep{}, map[stepKind]int{}, map[string]bool{}
	for _, s := range story {
		from, to := wallet{s.who, s.currency}, wallet{s.to, s.currency}
		kinds[s.kind]++
		currencies[s.currency] = true
		_, opened := available[to]
		if s.to != "" && !opened {
			t.Fatalf("%+v: the receiver has no such wallet", s)
		}
		switch s.kind {
		case isRefused:
			if available[from] >= s.amount {
				t.Fatalf("%+v is not refused", s)
			}
			continue
		case captures, voids:
			held := holds[s.who]
			if held.amount < s.amount || held.currency != s.currency {
				t.Fatalf("%+v of %+v", s, held)
			}
			available[wallet{held.who, held.currency}] += held.amount - s.amount
			available[from] += s.amount
			delete(holds, s.who)
			continue
		case returns:
			if last := received[s.who]; last.amount < s.amount || last.currency != s.currency {
				t.Fatalf("%+v of %+v", s, last)
			}
		case authorizes:
			holds[s.to] = s
		case pays:
			available[to] += s.amount
			received[s.to] = s
		case withdraws, disputes:
		}
		if available[from] -= s.amount; available[from] < 0 {
			t.Fatalf("%+v leaves %d", s, available[from])
		}
	}
	if len(currencies) != 4 || kinds[disputes] != 1 || kinds[isRefused] != 1 || len(holds) != 2 {
		t.Fatalf("currencies %v, kinds %v, open holds %v", currencies, kinds, holds)
	}
}
