package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// longHistory inserts count transfers of a new user directly into the table, one second apart, the
// last one now. Every 1000th is to or from the user rare, for 7 USD.
func (h *fixture) longHistory(count int) (user, rare ledger.UserID) {
	h.t.Helper()
	user, rare = h.longHistoryUnanalyzed(count)
	if _, err := testkit.Connect(h.t, h.db.AdminURL).Exec(h.t.Context(), `VACUUM ANALYZE transfers`); err != nil {
		h.t.Fatal(err)
	}
	return user, rare
}

func (h *fixture) longHistoryUnanalyzed(count int) (user, rare ledger.UserID) {
	h.t.Helper()
	user, rare = h.user(0), h.user(0)
	common := h.user(0)
	owner := testkit.Connect(h.t, h.db.AdminURL)
	_, err := owner.Exec(h.t.Context(), `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, posted_amount,
			currency, owner, idem_key, fingerprint, memo, created_at, resolved_at)
		SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid,
			'transfer', 'posted', CASE WHEN n % 2 = 0 THEN a.id ELSE b.id END, CASE WHEN n % 2 = 0 THEN b.id ELSE a.id END,
			amount, amount, 'USD', a.owner, 'history' || n, sha256(''), 'memo ' || n, at, at
		FROM (SELECT n, clock_timestamp() - ($4 - n) * interval '1 second' AS at, n % 1000 = 0 AS is_rare,
				CASE WHEN n % 1000 = 0 THEN 700 ELSE 100 END AS amount FROM generate_series(1, $4::int) n) s
		JOIN accounts a ON a.owner = $1 JOIN accounts b ON b.owner = CASE WHEN is_rare THEN $2::uuid ELSE $3::uuid END`,
		user, rare, common, count)
	if err != nil {
		h.t.Fatal(err)
	}
	return user, rare
}

// search reads all pages of a search.
func search(t testing.TB, l *ledger.Ledger, user ledger.UserID, q ledger.Query) (found []ledger.Transfer, pages int) {
	t.Helper()
	for {
		page, err := l.List(t.Context(), user, q)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		found = append(found, page.Transfers...)
		if page.Next == "" {
			return found, pages
		}
		q.Cursor = page.Next
	}
}

// TestSearchesAreBounded: a search that finds few transfers ends its pages early. The next pages
// continue it without gaps and without duplicates.
func TestSearchesAreBounded(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	user, rare := h.longHistory(5000)
	small := h.another(ledger.Config{Pool: h.pool, MaxSearched: 400})
	now := time.Now()
	for name, test := range map[string]struct {
		query ledger.Query
		want  int
		pages int // at least
	}{
		"everything":      {ledger.Query{Limit: 100}, 5000, 50},
		"one amount":      {ledger.Query{MinAmount: 700, MaxAmount: 700}, 5, 6},
		"small amounts":   {ledger.Query{MaxAmount: 100, Limit: 100}, 4995, 50},
		"large amounts":   {ledger.Query{MinAmount: 701}, 0, 6},
		"one other user":  {ledger.Query{With: rare}, 5, 6},
		"unknown user":    {ledger.Query{With: ledger.UserID(uuid.Must(uuid.NewV7()))}, 0, 6},
		"a memo":          {ledger.Query{Memo: "MEMO 77"}, 11, 6},
		"one direction":   {ledger.Query{With: rare, Direction: "in"}, 0, 6},
		"the other":       {ledger.Query{With: rare, Direction: "out"}, 5, 6},
		"no currency":     {ledger.Query{With: rare, Currency: "EUR"}, 0, 1},
		"its currency":    {ledger.Query{With: rare, Currency: "USD"}, 5, 6},
		"a state":         {ledger.Query{State: ledger.Refused}, 0, 6},
		"the last minute": {ledger.Query{Since: now.Add(-time.Minute), Limit: 100, MinAmount: 1}, 60, 1},
		"before all":      {ledger.Query{Until: now.Add(-72 * time.Hour)}, 0, 1},
	} {
		found, pages := search(t, small, user, test.query)
		// Time passes between the insertion of the rows and the search.
		if short := test.want - len(found); short != 0 && (name != "the last minute" || short < 0 || short > 30) {
			t.Errorf("%s: %d found, want %d", name, len(found), test.want)
		}
		if pages < test.pages {
			t.Errorf("%s: %d pages, want %d at least", name, pages, test.pages)
		}
		for i := 1; i < len(found); i++ {
			if found[i].ID.String() >= found[i-1].ID.String() {
				t.Fatalf("%s: out of order, or duplicate", name)
			}
		}
	}
}

// TestSearchPagesMeet: a page reads fewer transfers than its limit, and all of them match. The
// transfer at which the page ends is neither missing nor returned twice.
func TestSearchPagesMeet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	user, _ := h.longHistory(1000)
	small := h.another(ledger.Config{Pool: h.pool, MaxSearched: 30})
	for name, q := range map[string]ledger.Query{
		"both sides": {MinAmount: 1, Limit: 100}, "one side": {MinAmount: 1, Limit: 100, Direction: "out"},
	} {
		want := 1000
		if q.Direction != "" {
			want = 500
		}
		if found, pages := search(t, small, user, q); len(found) != want || pages < want/62 {
			t.Errorf("%s: %d found on %d pages, want %d", name, len(found), pages, want)
		}
	}
}

func BenchmarkListOf100000(b *testing.B) {
	h := newFixture(b)
	user, rare := h.longHistory(100_000)
	for name, q := range map[string]ledger.Query{
		"newest": {Limit: 100}, "unused amount": {MinAmount: 5000}, "rare user": {With: rare, Limit: 20},
		"rare amount": {MinAmount: 700, Limit: 20}, "memo that none has": {Memo: "nothing"}, "no such state": {State: ledger.Refused},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.List(b.Context(), user, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("all pages of an unused amount", func(b *testing.B) {
		for b.Loop() {
			search(b, h.Ledger, user, ledger.Query{MinAmount: 5000})
		}
	})
}

// TestSummaryMatchesPostings: the trend and the sums of the month are those of the postings.
func TestSummaryMatchesPostings(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(0), h.user(0)
	if s, err := h.Summary(t.Context(), alice); err != nil || len(s.Wallets) != 1 || s.Wallets[0].Trend[13] != 0 || *s.Wallets[0].In != 0 {
		t.Fatalf("an empty wallet: %+v, %v", s, err)
	}
	h.fund(alice, 100_00)
	h.pay(alice, bob, 30_00)
	h.pay(bob, alice, 5_00)
	if _, err := h.OpenWithdrawal(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: usd(1_00)}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.OpenDeposit(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Amount: usd(1_00)}); err != nil {
		t.Fatal(err)
	}
	s, err := h.Summary(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	w := s.Wallets[0]
	if w.Balance != 75_00 || w.Held != 1_00 || *w.In != 105_00 || *w.Out != 30_00 || w.Count != 3 {
		t.Errorf("%+v, in %d, out %d", w, *w.In, *w.Out)
	}
	if s.PendingIn != 1 || s.PendingOut != 1 || len(s.Recent) != 5 || s.Recent[0].Kind != ledger.KindDeposit {
		t.Errorf("%+v", s)
	}

	// A history of forty days: a posting of 1 USD every six hours, inserted into an account of its
	// own.
	carol := h.user(0)
	owner := testkit.Connect(t, h.db.SuperuserURL)
	for _, sql := range []string{
		`SET session_replication_role = replica`, // without the triggers, which would refuse them
		`INSERT INTO postings (account_id, seq, transfer_id, amount, balance_after, posted_at)
			SELECT a.id, n, gen_random_uuid(), 100, n * 100, date_trunc('day', now(), 'UTC') - interval '40 days' + n * interval '6 hours' - interval '1 hour'
			FROM accounts a, generate_series(1, 160) n WHERE a.owner = '` + carol.String() + `'`,
		`UPDATE accounts SET seq = 160, balance = 16000 WHERE owner = '` + carol.String() + `'`,
	} {
		if _, err := owner.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = h.Summary(t.Context(), carol); err != nil {
		t.Fatal(err)
	}
	w = s.Wallets[0]
	for day, balance := range w.Trend[:13] {
		// There are four postings a day, and the last one of yesterday is number 160.
		if want := int64(4 * (28 + day) * 100); balance != want {
			t.Errorf("%s ended with %d, want %d", w.Days[day].Format(time.DateOnly), balance, want)
		}
	}
	if w.Trend[13] != 160_00 {
		t.Errorf("today %d", w.Trend[13])
	}
	var count, sum int64
	if err := h.pool.QueryRow(t.Context(), `SELECT count(*), sum(amount)::bigint FROM postings p JOIN accounts a ON a.id = p.account_id
		WHERE a.owner = $1 AND posted_at >= date_trunc('month', now(), 'UTC')`, carol).Scan(&count, &sum); err != nil {
		t.Fatal(err)
	}
	if w.Count != count || *w.In != sum || *w.Out != 0 {
		t.Errorf("this month %d postings, in %d; want %d and %d", w.Count, *w.In, count, sum)
	}
}

func BenchmarkSummaryOf100000(b *testing.B) {
	h := newFixture(b)
	alice := h.user(0)
	owner, err := pgxpool.New(b.Context(), h.db.SuperuserURL)
	if err != nil {
		b.Fatal(err)
	}
	defer owner.Close()
	conn, err := owner.Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`INSERT INTO postings (account_id, seq, transfer_id, amount, balance_after, posted_at)
			SELECT a.id, n, gen_random_uuid(), 1, n, now() - (100000 - n) * interval '25 seconds'
			FROM accounts a, generate_series(1, 100000) n WHERE a.owner = '` + alice.String() + `'`,
		`INSERT INTO account_checkpoints SELECT account_id, seq, seq, posted_at FROM postings WHERE seq % 128 = 0`,
		`UPDATE accounts SET seq = 100000, balance = 100000, credited = 100000 WHERE owner = '` + alice.String() + `'`,
		`VACUUM ANALYZE postings, account_checkpoints`,
	} {
		if _, err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := h.Summary(b.Context(), alice); err != nil {
			b.Fatal(err)
		}
	}
}
