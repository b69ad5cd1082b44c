package ledger_test

import (
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// insertMonths inserts count transfers between two wallets, three each 12 hours since a time. The
// postings of every third pair are in the table, those of the others in the rows of the transfers.
func (h *fixture) insertMonths(a, b ledger.UserID, c money.Currency, since time.Time, count int) {
	h.t.Helper()
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	args := []any{a, b, string(c), since, count}
	for _, sql := range []string{
		`SET session_replication_role = replica`,
		`DROP TABLE IF EXISTS months, moves`,
		`CREATE TEMPORARY TABLE months AS SELECT NULL::uuid AS id, 0 AS n, now() AS at, 0::bigint AS debit, 0::bigint AS credit, 0::bigint AS amount,
			false AS own LIMIT 0`,
		`INSERT INTO months SELECT (encode(int8send(((micros / 1000) << 16) | (7 << 12) | micros % 1000) || decode('80', 'hex')
					|| substr(int8send(y.id * 1000000 + n), 2), 'hex'))::uuid, n, at, CASE WHEN n % 3 = 0 THEN x.id ELSE y.id END,
				CASE WHEN n % 3 = 0 THEN y.id ELSE x.id END, 1 + n % 7 + CASE WHEN n = 0 THEN 100000 ELSE 0 END, n % 6 < 4
			FROM (SELECT n, at, (extract(epoch FROM at) * 1000000)::bigint AS micros FROM generate_series(0, $5::int - 1) n
				CROSS JOIN LATERAL (SELECT $4::timestamptz + n / 3 * interval '12 hours' AS at) t) s
			JOIN accounts x ON x.owner = $1 AND x.currency = $3 JOIN accounts y ON y.owner = $2 AND y.currency = $3`,
		`CREATE TEMPORARY TABLE moves AS SELECT *, row_number() OVER w AS seq, sum(amount) OVER w AS balance FROM (
				SELECT id, n, at, debit AS account, -amount AS amount, own FROM months
				UNION ALL SELECT id, n, at, credit, amount, own FROM months) p
			WINDOW w AS (PARTITION BY account ORDER BY id)`,
		`INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, posted_amount, currency, owner, idem_key, fingerprint,
				memo, created_at, resolved_at, debit_seq, debit_balance, credit_seq, credit_balance, event_xid, event_id, digest)
			SELECT m.id, 'transfer', 'posted', m.debit, m.credit, m.amount, m.amount, d.currency, d.owner, d.currency || m.n, sha256(''), 'memo ' || n, at, at,
				CASE WHEN own THEN x.seq END, CASE WHEN own THEN x.balance END, CASE WHEN own THEN y.seq END, CASE WHEN own THEN y.balance END,
				CASE WHEN own THEN '7'::xid8 END, CASE WHEN own THEN 1000000000 * m.debit + m.n END, CASE WHEN own THEN sha256('') END
			FROM months m JOIN accounts d ON d.id = m.debit
			CROSS JOIN LATERAL (SELECT seq, balance FROM moves v WHERE v.id = m.id AND v.account = m.debit) x
			CROSS JOIN LATERAL (SELECT seq, balance FROM moves v WHERE v.id = m.id AND v.account = m.credit) y`,
		`INSERT INTO postings (account_id, seq, transfer_id, amount, balance_after, posted_at)
			SELECT account, seq, id, amount, balance, at FROM moves WHERE NOT own`,
		`UPDATE accounts a SET seq = m.seq, balance = m.balance, as_of = m.at FROM (
			SELECT DISTINCT ON (account) * FROM moves ORDER BY account, seq DESC) m
			WHERE a.id = m.account AND m.balance >= 0`, // a owes what it sent; only b is looked at
	} {
		var err error
		if sql[:11] == "INSERT INTO" && sql[12:18] == "months" {
			_, err = super.Exec(h.t.Context(), sql, args...)
		} else {
			_, err = super.Exec(h.t.Context(), sql)
		}
		if err != nil {
			h.t.Fatal(err, sql)
		}
	}
}

// statement reads all pages of a statement, and checks that they belong together.
func statement(t *testing.T, l *ledger.Ledger, owner ledger.UserID, q ledger.StatementQuery) ledger.Statement {
	t.Helper()
	whole, err := l.Statement(t.Context(), owner, q)
	testkit.Must(t, err)
	first := whole.Next
	for next := first; next != ""; {
		q.Cursor = next
		page, err := l.Statement(t.Context(), owner, q)
		testkit.Must(t, err)
		whole.Lines, next = append(whole.Lines, page.Lines...), page.Next
		if page.Opening != whole.Opening || page.Closing != whole.Closing || page.Count != whole.Count || !page.AsOf.Equal(whole.AsOf) ||
			*page.In != *whole.In || *page.Out != *whole.Out || page.Complete != whole.Complete {
			t.Fatalf("a page of another statement: %+v, %+v", page, whole)
		}
	}
	if int64(len(whole.Lines)) != whole.Count {
		t.Fatalf("%d lines of %d", len(whole.Lines), whole.Count)
	}
	balance, in, out := whole.Opening, int64(0), int64(0)
	for i, line := range whole.Lines {
		if balance += line.Change; line.Balance != balance {
			t.Fatalf("line %d does not lead from the balance before it: %+v", i, line)
		}
		in, out = in+max(line.Change, 0), out+max(-line.Change, 0)
		if line.Transfer.PostedAmount != max(line.Change, -line.Change) || line.At.Before(whole.Since) || line.At.After(whole.AsOf) {
			t.Errorf("line %d: %+v", i, line)
		}
	}
	q.Cursor = first
	sameTotals(t, l, owner, q, whole)
	if balance != whole.Closing || *whole.In != in || *whole.Out != out {
		t.Fatalf("closing %d, in %d, out %d; the lines say %d, %d, %d", whole.Closing, *whole.In, *whole.Out, balance, in, out)
	}
	return whole
}

// sameTotals compares the totals of a statement, with every party named and with one or two, with
// those of its lines.
func sameTotals(t *testing.T, l *ledger.Ledger, owner ledger.UserID, q ledger.StatementQuery, whole ledger.Statement) {
	t.Helper()
	type sum struct{ count, in, out int64 }
	want, all := map[ledger.AccountID]sum{}, sum{}
	add := func(to sum, change int64) sum {
		return sum{to.count + 1, to.in + max(change, 0), to.out + max(-change, 0)}
	}
	for _, line := range whole.Lines {
		other := line.Transfer.DebitAccount
		if line.Change < 0 {
			other = line.Transfer.CreditAccount
		}
		want[other], all = add(want[other], line.Change), add(all, line.Change)
	}
	accounts := slices.Collect(maps.Keys(want))
	owners, err := l.Owners(t.Context(), accounts)
	testkit.Must(t, err)
	byOwner := map[ledger.UserID]sum{}
	for account, s := range want {
		byOwner[owners[account]] = s // the zero owner is the bank
	}
	for _, named := range []int{1, 2, ledger.MaxStatementTotals} {
		q.Totals, q.Limit = named, 1
		s, err := l.Statement(t.Context(), owner, q)
		testkit.Must(t, err)
		if q.Cursor == "" && s.Count > whole.Count {
			return // of one page, whose time no cursor repeats
		}
		if s.Totals == nil || len(s.Totals.Items) != min(named, len(want)) || (s.Totals.Others == nil) != (len(want) <= named) {
			t.Fatalf("%d named of %d: %+v", named, len(want), s.Totals)
		}
		rest, last := all, int64(math.MaxInt64)
		for _, total := range s.Totals.Items {
			var with ledger.UserID
			if total.With != nil {
				with = *total.With
			}
			got := sum{total.Count, *total.In, *total.Out}
			if got != byOwner[with] || got.in+got.out > last || total.Parties != 1 {
				t.Errorf("the total of %v is %+v, its lines add up to %+v", with, got, byOwner[with])
			}
			last = got.in + got.out
			rest = sum{rest.count - got.count, rest.in - got.in, rest.out - got.out}
		}
		var others sum
		if o := s.Totals.Others; o != nil {
			others = sum{o.Count, *o.In, *o.Out}
			if o.Parties != int64(len(want)-named) || o.With != nil {
				t.Errorf("%d others of %d with %d named", o.Parties, len(want), named)
			}
		}
		testkit.Equal(t, "others", others, rest)
	}
}

// TestStatementTotalsOfRandomTransfers: the totals of a random history, by other party, add up to
// what came in and went out; a complete statement returns the same again.
func TestStatementTotalsOfRandomTransfers(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var users []ledger.UserID
	for range 7 {
		users = append(users, h.user(1_000))
	}
	for range 400 {
		payer, payee := users[random.IntN(len(users))], users[random.IntN(len(users))]
		if payer == payee {
			continue
		}
		request := ledger.TransferRequest{Owner: payer, Key: newKey(), Payee: payee, Amount: usd(1 + random.Int64N(60))}
		if random.IntN(4) == 0 { // its postings are in the table
			held, err := h.Authorize(t.Context(), request)
			if errors.Is(err, ledger.InsufficientFunds) {
				continue
			}
			testkit.Must(t, err)
			_, err = h.Capture(t.Context(), ledger.FollowUp{Owner: payee, Key: newKey(), Target: held.Transfer.ID, Amount: 1 + random.Int64N(request.Amount.Minor)})
			testkit.Must(t, err)
			continue
		}
		if _, err := h.Transfer(t.Context(), request); err != nil && !errors.Is(err, ledger.InsufficientFunds) {
			t.Fatal(err)
		}
	}
	for _, user := range users {
		s := statement(t, h.Ledger, user, ledger.StatementQuery{Currency: "USD", Month: h.now()})
		if s.Count < 20 || s.Totals != nil {
			t.Errorf("%d postings; totals without a request for them: %v", s.Count, s.Totals)
		}
	}
}

// TestStatementsOfAYear: the statements of 14 months, in postings of both kinds, of which several
// have the same time, are the postings, and each closes with the balance with which the next one
// opens.
func TestStatementsOfAYear(t *testing.T) {
	t.Parallel()
	const postings = `SELECT count(*), COALESCE(sum(amount), 0)::bigint FROM all_postings p JOIN accounts a ON a.id = p.account_id
		WHERE a.owner = $1 AND a.currency = $2 AND p.posted_at >= $3 AND p.posted_at < $4`
	h := newFixture(t)
	alice, bob := h.user(0), h.user(0)
	now := h.now().UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, -13, 0)
	for i, c := range []money.Currency{"JPY", "USD", "KWD", "CLF"} {
		for _, user := range []ledger.UserID{alice, bob} {
			_, err := h.OpenWallet(t.Context(), user, c)
			testkit.Must(t, err)
		}
		h.insertMonths(alice, bob, c, first, int(now.Sub(first)/(16*time.Hour)))
		var closing, lines int64
		for month := first; !month.After(now); month = month.AddDate(0, 1, 0) {
			q := ledger.StatementQuery{Currency: c, Month: month.AddDate(0, 0, 20), Limit: []int{7, 1, 500, 64}[i]}
			s := statement(t, h.Ledger, bob, q)
			var count, sum int64
			testkit.Must(t, h.pool.QueryRow(t.Context(), postings, bob, c, s.Since, s.Until).Scan(&count, &sum))
			if s.Opening != closing || s.Count != count || s.Closing-s.Opening != sum || !s.Since.Equal(month) || s.Complete != s.Until.Before(now) {
				t.Errorf("%s after %d: %+v has %d postings, sum %d", c, closing, s, count, sum)
			}
			closing, lines = s.Closing, lines+s.Count
		}
		if w := h.walletIn(bob, c); w.Balance != closing || lines < 500 {
			t.Errorf("%s: the last statement closes with %d after %d lines, the wallet has %d", c, closing, lines, w.Balance)
		}
	}
}

func (h *fixture) walletIn(owner ledger.UserID, c money.Currency) ledger.Wallet {
	h.t.Helper()
	w, err := h.Wallet(h.t.Context(), owner, c)
	testkit.Must(h.t, err)
	return w
}

// TestStatementsUnderWriters: while transfers are committed, the pages of a statement of this month
// belong to the time of the first page, and a statement read again as of the same time is the same.
func TestStatementsUnderWriters(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	other := h.another(ledger.Config{})
	alice, bob := h.user(10_000), h.user(10_000)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for n := range 6 {
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				payer, payee := alice, bob
				if rand.IntN(2) == 0 {
					payer, payee = bob, alice
				}
				_, err := []*ledger.Ledger{h.Ledger, other}[n%2].Transfer(t.Context(), ledger.TransferRequest{
					Owner: payer, Key: newKey(), Payee: payee, Amount: usd(1 + rand.Int64N(9)),
				})
				if err != nil && !errors.Is(err, ledger.InsufficientFunds) {
					t.Error(err)
					return
				}
			}
		})
	}
	var seen []ledger.Statement
	for i := range 8 {
		s := statement(t, []*ledger.Ledger{h.Ledger, other}[i%2], alice, ledger.StatementQuery{Currency: "USD", Month: h.now(), Limit: 1 + 60*i})
		if n := len(seen); n > 0 && s.Since.Equal(seen[n-1].Since) && s.Count < seen[n-1].Count {
			t.Error("a later statement has fewer lines")
		}
		seen = append(seen, s)
	}
	close(stop)
	writing.Wait()
	last := statement(t, h.Ledger, alice, ledger.StatementQuery{Currency: "USD", Month: seen[0].Since})
	for _, s := range seen {
		balance, _, err := h.BalanceAt(t.Context(), alice, "USD", s.AsOf)
		if err != nil || balance != s.Closing {
			t.Errorf("the statement closes with %d, the balance at its time is %d, %v", s.Closing, balance, err)
		}
		for i, line := range s.Lines {
			if s.Since.Equal(last.Since) && (line.Transfer.ID != last.Lines[i].Transfer.ID || !line.At.Equal(last.Lines[i].At)) {
				t.Fatalf("line %d was %+v, and is %+v", i, line, last.Lines[i])
			}
		}
	}
	h.books()
}

// TestStatementReservesItsMonth: after the statement of a month that has ended, a posting gets a
// time after that month, even if the clock steps back.
func TestStatementReservesItsMonth(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.user(0)
	now := h.now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	super := testkit.Connect(t, h.db.SuperuserURL)
	_, err := super.Exec(t.Context(), `SET session_replication_role = replica`)
	testkit.Must(t, err)
	_, err = super.Exec(t.Context(), `UPDATE accounts SET as_of = '2020-01-01' WHERE owner = $1`, alice)
	testkit.Must(t, err)
	s, err := h.Statement(t.Context(), alice, ledger.StatementQuery{Currency: "USD", Month: month.AddDate(0, -1, 0)})
	testkit.Must(t, err)
	var asOf time.Time
	testkit.Must(t, h.pool.QueryRow(t.Context(), `SELECT as_of FROM accounts WHERE owner = $1`, alice).Scan(&asOf))
	if !s.Complete || asOf.Before(month) {
		t.Errorf("complete: %v; the next posting may have the time %s", s.Complete, asOf)
	}
}

func TestStatementLimits(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100), h.user(100)
	for range 3 {
		h.transfer(alice, bob, 1)
	}
	q := ledger.StatementQuery{Currency: "USD", Month: h.now(), Limit: 2}
	first, err := h.Statement(t.Context(), alice, q)
	if err != nil || len(first.Lines) != 2 || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	refused := func(owner ledger.UserID, code problem.Code, q ledger.StatementQuery) {
		t.Helper()
		if _, err := h.Statement(t.Context(), owner, q); problem.CodeOf(err) != code {
			t.Errorf("%+v: %v", q, err)
		}
	}
	refused(alice, ledger.WalletNotFound, ledger.StatementQuery{Currency: "EUR", Month: h.now()})
	refused(alice, ledger.TimeInFuture, ledger.StatementQuery{Currency: "USD", Month: h.now().AddDate(0, 1, 1)})
	for _, cursor := range []string{"x", first.Next + "A", first.Next[:30], uuid.NewString(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "_____________________________w"} {
		refused(alice, ledger.CursorMalformed, ledger.StatementQuery{Currency: "USD", Month: h.now(), Cursor: cursor})
	}
	refused(alice, ledger.CursorMalformed, ledger.StatementQuery{Currency: "USD", Month: h.now().AddDate(0, -2, 0), Cursor: first.Next})
	carol := h.user(5) // who has fewer postings than the cursor says
	refused(carol, ledger.CursorMalformed, ledger.StatementQuery{Currency: "USD", Month: h.now(), Cursor: first.Next})
	old, err := h.Statement(t.Context(), alice, ledger.StatementQuery{Currency: "USD", Month: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil || old.Count != 0 || old.Closing != 0 || *old.In != 0 || !old.Complete {
		t.Errorf("%+v, %v", old, err)
	}
}
