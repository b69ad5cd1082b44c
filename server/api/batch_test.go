package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/ledger"
)

// batchRow is a transfer of a batch, with a new key.
func batchRow(to *user, amount int64) fields {
	return pay(to, amount).with("idempotency_key", uuid.NewString())
}

func (h *fixture) postBatch(u *user, atomic bool, rows ...fields) []openapi.BatchResult {
	h.t.Helper()
	got := h.do(ask{method: "POST", path: "/v1/transfers/batch", token: u.access, body: fields{"atomic": atomic, "transfers": rows}})
	return read[openapi.TransferBatchResult](got.want(200)).Results
}

// wantBatch compares each result with a code, or with "posted" or "pending".
func wantBatch(t *testing.T, results []openapi.BatchResult, want ...string) {
	t.Helper()
	got := make([]string, len(results))
	for i, r := range results {
		switch {
		case r.Problem != nil && r.Transfer == nil:
			got[i] = string(r.Problem.Code)
			if r.Status != r.Problem.Status || r.Status < 400 {
				t.Errorf("result %d: status %d, in the problem %d", i, r.Status, r.Problem.Status)
			}
		case r.Transfer != nil && r.Problem == nil && r.Status == http.StatusCreated:
			got[i] = string(r.Transfer.State)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestBatchGivesEachTransferItsResult(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	noPayee := batchRow(bob, 1).with("to", "@carol")
	late := batchRow(bob, 1).with("expires_at", "2026-01-01T00:00:00Z")
	rows := []fields{
		batchRow(bob, 100).with("memo", canary), batchRow(bob, 2000), noPayee, late, batchRow(alice, 1),
		batchRow(bob, 50).with("authorize", true), batchRow(bob, 3).with("idempotency_key", "with space"),
	}
	want := []string{"posted", "insufficient_funds", "payee_not_found", "expiry_out_of_range", "payee_is_self", "pending", "idempotency_key_malformed"}
	for attempt := range 2 {
		results := h.postBatch(alice, false, rows...)
		wantBatch(t, results, want...)
		for i, replayed := range []bool{true, true, false, false, false, true, false} {
			if results[i].Replayed != (replayed && attempt == 1) {
				t.Errorf("attempt %d: result %d is replayed: %t", attempt, i, results[i].Replayed)
			}
		}
		first := results[0].Transfer
		if *first.From.Handle != "alice" || *first.To.Handle != "bob" || first.Direction != openapi.Out || *first.Memo != canary {
			t.Errorf("the first transfer is shown as %+v", first)
		}
		if results[1].Problem.TransferId == nil {
			t.Error("a refusal does not name its transfer")
		}
	}
	single := pay(bob, 100).with("memo", canary)
	if got := h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: rows[0]["idempotency_key"].(string), body: single}).want(201); !got.replayed() {
		t.Error("the key of a batch is not the key of a single transfer")
	}
	h.wantBalance(alice, 900, 50)
	h.wantBalance(bob, 100, 0)
}

func TestAtomicBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	carol := h.signUp("carol")
	payouts := []fields{batchRow(bob, 400), batchRow(carol, 500), batchRow(bob, 100)}
	wantBatch(t, h.postBatch(alice, true, payouts[0], payouts[1], batchRow(bob, 200)), "batch_refused", "batch_refused", "insufficient_funds")
	h.wantBalance(alice, 1000, 0)
	unknown := batchRow(bob, 1).with("to", "@unknown")
	fresh := batchRow(bob, 1)
	wantBatch(t, h.postBatch(alice, true, fresh, unknown), "batch_refused", "payee_not_found")
	h.wantBalance(alice, 1000, 0)

	for i := range payouts {
		payouts[i] = payouts[i].with("idempotency_key", uuid.NewString())
	}
	wantBatch(t, h.postBatch(alice, true, payouts...), "posted", "posted", "posted")
	again := h.postBatch(alice, true, payouts...)
	wantBatch(t, again, "posted", "posted", "posted")
	if !again[0].Replayed || !again[2].Replayed {
		t.Error("the same batch was executed again")
	}
	wantBatch(t, h.postBatch(alice, false, payouts[0]), "idempotency_key_reused")
	wantBatch(t, h.postBatch(alice, true, fresh), "insufficient_funds") // its key was not used up
	h.wantBalance(alice, 0, 0)
	h.wantBalance(bob, 500, 0)
	h.wantBalance(carol, 500, 0)
}

func TestBatchBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	row := batchRow(bob, 1)
	many := make([]fields, ledger.MaxGroup+1)
	for i := range many {
		many[i] = batchRow(bob, 1)
	}
	for name, tc := range map[string]struct {
		body  any
		field string
	}{
		"no transfers":       {fields{"transfers": []fields{}}, "transfers"},
		"too many":           {fields{"transfers": many}, "transfers"},
		"missing":            {fields{"atomic": true}, "transfers"},
		"not a list":         {fields{"transfers": row}, "transfers"},
		"not an object":      {fields{"transfers": []any{row, "text"}}, "transfers[1]"},
		"missing field":      {fields{"transfers": []fields{row, pay(bob, 1)}}, "transfers[1].idempotency_key"},
		"unknown field":      {fields{"transfers": []fields{row.with("fee", 1)}}, "transfers[0]"},
		"another type":       {fields{"transfers": []fields{row.with("amount", "1")}}, "transfers[0].amount"},
		"dry run":            {fields{"transfers": []fields{row.with("dry_run", true)}}, "transfers[0]"},
		"null":               {`{"transfers": [{"idempotency_key": null}]}`, ""},
		"a name twice":       {`{"transfers": [{"to": "@bob", "to": "@alice"}]}`, ""},
		"nothing but nested": {`{"transfers": [[[[[[[[[[]]]]]]]]]]}`, ""},
	} {
		got := h.do(ask{method: "POST", path: "/v1/transfers/batch", token: alice.access, body: tc.body})
		p := got.wantProblem(openapi.BodyMalformed)
		if p.Field == nil && tc.field != "" || p.Field != nil && *p.Field != tc.field {
			t.Errorf("%s: the field is %v, want %q", name, p.Field, tc.field)
		}
	}
	h.wantBalance(alice, 1000, 0)
}

// The body of a batch may be larger than any other, for a caller with a token.
func TestBatchBodyMayBeLarge(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	rows := make([]fields, ledger.MaxGroup)
	for i := range rows {
		rows[i] = batchRow(bob, 1).with("memo", strings.Repeat("m", 100))
	}
	results := h.postBatch(alice, false, rows...)
	for i, r := range results {
		if r.Status != http.StatusCreated || *r.Transfer.To.Handle != "bob" {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
	h.wantBalance(bob, ledger.MaxGroup, 0)

	large := strings.Repeat(" ", 20<<10)
	h.do(ask{method: "POST", path: "/v1/transfers/batch", body: large}).wantProblem(openapi.Unauthenticated)
	h.do(ask{method: "POST", path: "/v1/transfers/batch", token: alice.access + "x", body: large}).wantProblem(openapi.TokenInvalid)
	h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: uuid.NewString(), body: large}).wantProblem(openapi.BodyTooLarge)
	h.do(ask{method: "POST", path: "/v1/transfers/batch", token: alice.access, body: strings.Repeat(" ", 300<<10)}).wantProblem(openapi.BodyTooLarge)
}

// A batch counts as a request for each 50 transfers begun, and does nothing if that exceeds the
// limit.
func TestBatchCountsTowardsTheRateLimit(t *testing.T) {
	t.Parallel()
	var left, counted atomic.Int64
	h := newFixture(t, func(o *options) {
		o.limits.User = func(context.Context, ledger.UserID) api.Allowance {
			counted.Add(1)
			return api.Allowance{Allowed: left.Add(-1) >= 0, RetryAfter: 3 * time.Second}
		}
	})
	left.Store(1000)
	alice, bob := h.pair(1000)
	rows := func(n int) []fields {
		all := make([]fields, n)
		for i := range all {
			all[i] = batchRow(bob, 1)
		}
		return all
	}
	for n, want := range map[int]int64{1: 1, 50: 1, 51: 2, 120: 3} {
		before := counted.Load()
		h.postBatch(alice, false, rows(n)...)
		if got := counted.Load() - before; got != want {
			t.Errorf("%d transfers count as %d requests, want %d", n, got, want)
		}
	}
	left.Store(2)
	got := h.do(ask{method: "POST", path: "/v1/transfers/batch", token: alice.access, body: fields{"transfers": rows(101)}})
	got.wantProblem(openapi.RateLimited)
	if got.header.Get("Retry-After") != "3" {
		t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
	}
	left.Store(1000)
	h.wantBalance(bob, 1+50+51+120, 0)
}

// A result under a key stays the result when its payee can no longer be found by the same name.
func TestResultsStayWhenThePayeeCannotBeFound(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	byEmail := func(amount int64) fields { return batchRow(bob, amount).with("to", "bob@example.com") }
	atomic := []fields{byEmail(10), batchRow(bob, 20)}
	separate := []fields{byEmail(30), batchRow(bob, 40), byEmail(5000)}
	single, key := fields{"to": "bob@example.com", "amount": 50, "currency": "USD"}, uuid.NewString()
	refused := pay(bob, 6000).with("to", "bob@example.com")
	wantBatch(t, h.postBatch(alice, true, atomic...), "posted", "posted")
	wantBatch(t, h.postBatch(alice, false, separate...), "posted", "posted", "insufficient_funds")
	send := func(key string, body fields) *answer {
		return h.do(ask{method: "POST", path: "/v1/transfers", token: alice.access, key: key, body: body})
	}
	first := read[openapi.Transfer](send(key, single).want(201))
	send("refused", refused).wantProblem(openapi.InsufficientFunds)

	h.do(ask{method: "PATCH", path: "/v1/me", token: bob.access, body: fields{"findable_by_email": false}}).want(200)
	testkit.Eventually(t, "the payee is not found", func() bool {
		got := h.post(alice, "/v1/transfers", single.with("dry_run", true))
		return got.status == http.StatusNotFound
	})
	again := h.postBatch(alice, true, atomic...)
	wantBatch(t, again, "posted", "posted")
	if !again[0].Replayed || !again[1].Replayed {
		t.Error("the results of the atomic batch are not replays")
	}
	wantBatch(t, h.postBatch(alice, false, separate...), "posted", "posted", "insufficient_funds")
	if got := send(key, single).want(201); !got.replayed() || read[openapi.Transfer](got).Id != first.Id {
		t.Errorf("the single transfer is answered with %s", got.body)
	}
	send("refused", refused).wantProblem(openapi.InsufficientFunds)
	send(key, single.with("amount", 51)).wantProblem(openapi.IdempotencyKeyReused)
	send(uuid.NewString(), single).wantProblem(openapi.PayeeNotFound)
	wantBatch(t, h.postBatch(alice, true, byEmail(1), batchRow(bob, 1)), "payee_not_found", "batch_refused")
	h.wantBalance(bob, 10+20+30+40+50, 0)
}

// If the token of a large batch cannot be verified, the answer says why: the client then retries.
func TestLargeBatchWithoutDatabase(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	h.network.cut()
	large := strings.Repeat(" ", 20<<10)
	testkit.Eventually(t, "the cached session has expired", func() bool {
		got := h.do(ask{method: "POST", path: "/v1/transfers/batch", token: alice.access, body: large})
		return got.status == http.StatusServiceUnavailable && read[openapi.Problem](got).Code == openapi.Unavailable
	})
}
