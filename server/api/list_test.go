package api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// pages follows the cursors to the last page.
func (h *fixture) pages(u *user, path string, between func()) []openapi.Transfer {
	h.t.Helper()
	var all []openapi.Transfer
	cursor := ""
	for range 100 {
		page := read[openapi.TransferList](h.get(u, path+cursor).want(200))
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		if len(page.Items) == 0 {
			h.t.Fatal("an empty page with a cursor")
		}
		cursor = "&cursor=" + url.QueryEscape(*page.NextCursor)
		between()
	}
	h.t.Fatal("no end of pages")
	return nil
}

func TestPagesHaveNoGapsAndNoRepeats(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	var want []uuid.UUID
	for i := range 23 {
		from, to := alice, bob
		if i%3 == 0 && i > 0 {
			from, to = bob, alice
		}
		sent := read[openapi.Transfer](h.post(from, "/v1/transfers", pay(to, 1)).want(201))
		want = append([]uuid.UUID{sent.Id}, want...)
	}
	for _, limit := range []int{1, 2, 5, 22, 23, 24, 100} {
		got := h.pages(bob, fmt.Sprintf("/v1/transfers?limit=%d", limit), func() {
			h.post(alice, "/v1/transfers", pay(bob, 1)).want(201) // transfers that are made between two pages
		})
		// Transfers that were made after the first page are newer than it.
		first := 0
		for first < len(got) && got[first].Id != want[0] {
			first++
		}
		testkit.Equal(t, fmt.Sprint("transfers by pages of ", limit), len(got)-first, len(want))
		for i, id := range want {
			if first+i < len(got) && got[first+i].Id != id {
				t.Fatalf("pages of %d: transfer %d is %s, want %s", limit, i, got[first+i].Id, id)
			}
		}
	}
	testkit.Equal(t, "by default", len(read[openapi.TransferList](h.get(bob, "/v1/transfers").want(200)).Items), 20)
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	started := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", canary+" Lunch 50%")).want(201)
	h.post(bob, "/v1/transfers", pay(alice, 1).with("memo", canary+" rent_1")).want(201)
	h.authorize(alice, bob, 3)
	h.post(alice, "/v1/withdrawals", fields{"amount": 2, "currency": "USD"}).want(202)
	h.post(alice, "/v1/transfers", pay(bob, 100_000)).wantProblem(openapi.InsufficientFunds)
	h.post(alice, "/v1/wallets", fields{"currency": "EUR"}).want(201)
	h.post(alice, "/v1/deposits", fields{"amount": 4, "currency": "EUR"}).want(202)
	for query, want := range map[string]int{
		"":                                   7,
		"state=posted":                       3,
		"state=pending":                      3,
		"state=refused":                      1,
		"state=voided":                       0,
		"kind=transfer":                      3,
		"kind=deposit":                       2,
		"kind=withdrawal":                    1,
		"kind=authorization":                 1,
		"direction=in":                       3,
		"direction=out":                      4,
		"currency=EUR":                       1,
		"currency=JPY":                       0,
		"q=lunch":                            1,
		"q=LUNCH":                            1,
		"q=50%25":                            1,
		"q=%25":                              1, // a percent sign, not a pattern
		"q=_":                                1,
		"q=" + canary:                        3,
		"since=" + started:                   7,
		"until=" + started:                   0,
		"min_amount=4":                       3, // a deposit of either currency, and a refusal
		"min_amount=2&max_amount=4":          3,
		"max_amount=1":                       2,
		"min_amount=9007199254740993":        0,
		"with=@bob":                          4,
		"with=bob@example.com":               4,
		"with=bob&direction=in":              1,
		"with=@bob&min_amount=100000":        1,
		"with=@alice":                        0,
		"kind=transfer&direction=in":         1,
		"state=pending&currency=USD&limit=1": 1,
	} {
		testkit.Equal(t, "transfers for "+query, len(read[openapi.TransferList](h.get(alice, "/v1/transfers?"+query).want(200)).Items), want)
	}
	// since is inclusive, until is not.
	newest := read[openapi.TransferList](h.get(alice, "/v1/transfers?limit=1").want(200)).Items[0]
	at := url.QueryEscape(newest.CreatedAt.Format(time.RFC3339Nano))
	testkit.Equal(t, "since itself", len(read[openapi.TransferList](h.get(alice, "/v1/transfers?since="+at).want(200)).Items), 1)
	testkit.Equal(t, "until itself", len(read[openapi.TransferList](h.get(alice, "/v1/transfers?until="+at).want(200)).Items), 6)
}

// TestListByKey: a key of the user finds the transfer that it made, was refused with, or changed.
func TestListByKey(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	ofKey := func(user *user, query string) (ids []uuid.UUID) {
		list := read[openapi.TransferList](h.get(user, "/v1/transfers?"+query).want(200))
		for _, t := range list.Items {
			ids = append(ids, t.Id)
		}
		if list.NextCursor != nil {
			t.Errorf("%s has a further page", query)
		}
		return ids
	}
	post := func(user *user, key, path string, body fields) uuid.UUID {
		done := h.do(ask{method: "POST", path: path, token: user.access, key: key, body: body})
		if done.status != 200 && done.status != 201 {
			t.Fatalf("%s: %d %s", key, done.status, done.body)
		}
		return read[openapi.Transfer](done).Id
	}
	made := post(alice, "rent-11", "/v1/transfers", pay(bob, 1))
	for _, other := range []string{"rent-1", "rent-12", "RENT-11"} {
		post(alice, other, "/v1/transfers", pay(bob, 1))
	}
	held := post(alice, "hold", "/v1/transfers", pay(bob, 5).with("authorize", true))
	post(bob, "capture", "/v1/transfers/"+held.String()+"/capture", fields{"amount": 2})
	post(bob, "rent-11", "/v1/transfers", pay(alice, 1))
	for query, want := range map[string][]uuid.UUID{
		"key=rent-11": {made}, "key=hold": {held}, "key=capture": nil, "key=rent": nil,
		"key=rent-11&kind=deposit": nil, "key=rent-11&direction=out&min_amount=1&with=@bob": {made},
	} {
		if got := ofKey(alice, query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	if got := ofKey(bob, "key=capture"); !slices.Equal(got, []uuid.UUID{held}) {
		t.Errorf("the key of a capture: %v, want %v", got, held)
	}
}

// TestRefusedTransfersAreTheSendersAlone: otherwise a user without money could write to every
// user's list.
func TestRefusedTransfersAreTheSendersAlone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	spammer, bob := h.pair(1)
	memo := canary + " call 555 to claim your prize"
	var refused []uuid.UUID
	for _, body := range []fields{
		pay(bob, 500).with("memo", memo),
		pay(bob, 500).with("memo", memo).with("authorize", true),
	} {
		p := h.post(spammer, "/v1/transfers", body).wantProblem(openapi.InsufficientFunds)
		refused = append(refused, *p.TransferId)
	}
	for _, query := range []string{"", "?direction=in", "?state=refused", "?q=prize", "?kind=transfer", "?limit=1"} {
		got := h.get(bob, "/v1/transfers"+query).want(200)
		testkit.Equal(t, "bob sees "+query, len(read[openapi.TransferList](got).Items), 0)
	}
	for _, id := range refused {
		path := "/v1/transfers/" + id.String()
		h.get(bob, path).wantProblem(openapi.TransferNotFound)
		for _, action := range []string{"/capture", "/void", "/reverse"} {
			h.post(bob, path+action, fields{}).wantProblem(openapi.TransferNotFound)
			h.post(spammer, path+action, fields{}).wantProblem(openapi.Forbidden)
		}
		seen := read[openapi.Transfer](h.get(spammer, path).want(200))
		testkit.Equal(t, "memo as the sender sees it", text(seen.Memo), memo)
		testkit.Equal(t, "direction", seen.Direction, openapi.Out)
	}
	testkit.Equal(t, "the sender's list", len(read[openapi.TransferList](h.get(spammer, "/v1/transfers?state=refused").want(200)).Items), 2)
}

// TestListsShowOwnTransfersAlone, with every filter.
func TestListsShowOwnTransfersAlone(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	mallory := h.signUp("mallory")
	sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", canary)).want(201))
	page := read[openapi.TransferList](h.get(alice, "/v1/transfers?limit=1").want(200))
	for _, query := range []string{"", "?q=" + canary, "?direction=in", "?cursor=" + *page.NextCursor} {
		testkit.Equal(t, "mallory sees "+query, len(read[openapi.TransferList](h.get(mallory, "/v1/transfers"+query).want(200)).Items), 0)
	}
	id := sent.Id.String()
	for _, form := range []string{id, strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id, "%7B" + id + "%7D"} {
		if got := h.get(mallory, "/v1/transfers/"+form); got.status != 404 && got.status != 400 {
			t.Errorf("%s: %d %s", form, got.status, got.body)
		}
	}
	seen := read[openapi.Transfer](h.get(bob, "/v1/transfers/"+strings.ToUpper(id)).want(200))
	testkit.Equal(t, "direction for bob", seen.Direction, openapi.In)
	testkit.Equal(t, "from", text(seen.From.Handle), "alice")
	testkit.Equal(t, "bank", seen.From.Bank == nil, true)
	deposit := read[openapi.TransferList](h.get(alice, "/v1/transfers?kind=deposit").want(200)).Items[0]
	testkit.Equal(t, "a deposit comes from the bank", deposit.From.Bank != nil && *deposit.From.Bank, true)
	testkit.Equal(t, "direction of a deposit", deposit.Direction, openapi.In)
	// Keys, account numbers and owners' ids are never shown.
	body := string(h.get(bob, "/v1/transfers/"+id).body)
	for _, secret := range []string{alice.id.String(), "idem", "owner", "account", "fingerprint"} {
		testkit.Equal(t, "bob sees "+secret, strings.Contains(body, secret), false)
	}
}
