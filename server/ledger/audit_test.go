package ledger_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// busyFixture is a ledger with transfers of every kind and state.
type busyFixture struct {
	*fixture
	alice, bob, carol, dave, eve ledger.UserID
	one, other                   uuid.UUID // posted at once, alice to bob and carol to dave
	captured, taken              uuid.UUID // captured authorizations, alice to bob and carol to dave
	last                         uuid.UUID // posted at once, the last transfer of carol and of dave
	refused                      uuid.UUID // insufficient funds; the only transfer with eve
	open                         uuid.UUID // a pending authorization
	waiting, rejected            uuid.UUID // a deposit that is pending, a withdrawal that the bank refused
}

func newBusyFixture(t *testing.T) *busyFixture { return newFixture(t).busy() }

// busy adds users and transfers of every kind and state.
func (h *fixture) busy() *busyFixture {
	t := h.t
	b := &busyFixture{fixture: h, alice: h.user(1000), bob: h.user(500), carol: h.user(300), dave: h.user(0), eve: h.user(0)}
	b.one = b.pay(b.alice, b.bob, 10)
	b.other = b.pay(b.carol, b.dave, 20)
	b.pay(b.bob, b.alice, 5)

	_, err := h.Transfer(t.Context(), b.to(b.bob, b.eve, 7))
	b.refused = wantCode(t, err, ledger.InsufficientFunds).Transfer.ID
	_, err = h.Transfer(t.Context(), b.to(ledger.UserID(uuid.New()), b.alice, 7))
	wantCode(t, err, ledger.PayeeWalletMissing)

	b.authorizations()
	b.reversals()
	b.bankTransfers()
	b.limited()
	b.last = b.pay(b.carol, b.dave, 3)
	return b
}

func (b *busyFixture) to(payee, payer ledger.UserID, minor int64) ledger.TransferRequest {
	return ledger.TransferRequest{Owner: payer, Key: newKey(), Payee: payee, Amount: usd(minor), ExpiresAt: time.Now().Add(time.Hour)}
}

func (b *busyFixture) pay(payer, payee ledger.UserID, minor int64) uuid.UUID {
	b.t.Helper()
	return b.must(b.Transfer(b.t.Context(), b.to(payee, payer, minor)))
}

func (b *busyFixture) must(r ledger.Result, err error) uuid.UUID {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Transfer.ID
}

func (b *busyFixture) authorizations() {
	t, ctx := b.t, b.t.Context()
	authorize := func() uuid.UUID { return b.must(b.Authorize(ctx, b.to(b.bob, b.alice, 50))) }
	about := func(id uuid.UUID, amount int64) ledger.FollowUp {
		return ledger.FollowUp{Owner: b.bob, Key: newKey(), Target: id, Amount: amount}
	}
	b.open = authorize()
	whole, part := authorize(), authorize()
	b.captured, b.taken = whole, b.must(b.Authorize(ctx, b.to(b.dave, b.carol, 50)))
	b.must(b.Capture(ctx, ledger.FollowUp{Owner: b.dave, Key: newKey(), Target: b.taken}))
	b.must(b.Capture(ctx, about(whole, 0)))
	b.must(b.Capture(ctx, about(part, 30)))
	if _, err := b.Capture(ctx, about(whole, 0)); err == nil {
		t.Fatal("captured twice")
	}
	b.must(b.Void(ctx, about(authorize(), 0)))
	if _, err := b.Void(ctx, about(whole, 0)); err == nil {
		t.Fatal("voided after the capture")
	}
	soon := b.to(b.bob, b.alice, 50)
	soon.ExpiresAt = time.Now().Add(100 * time.Millisecond)
	b.must(b.Authorize(ctx, soon))
	for deadline := time.Now().Add(time.Minute); ; {
		n, err := b.ExpireDue(ctx, 10)
		if err != nil || time.Now().After(deadline) {
			t.Fatal("nothing expired", err)
		}
		if n == 1 {
			return
		}
	}
}

func (b *busyFixture) reversals() {
	ctx := b.t.Context()
	about := func(id uuid.UUID, amount int64) ledger.FollowUp {
		return ledger.FollowUp{Owner: b.bob, Key: newKey(), Target: id, Amount: amount}
	}
	again := b.pay(b.alice, b.bob, 40)
	b.must(b.Reverse(ctx, about(again, 15)))
	b.must(b.Reverse(ctx, about(again, 20)))
	_, err := b.Reverse(ctx, about(again, 6))
	if err == nil {
		b.t.Fatal("reversed more than there was")
	}
}

// limited adds a transfer and an authorization under a spending limit, between users of their own.
func (b *busyFixture) limited() {
	frank, grace := b.user(100), b.user(0)
	limit := b.limit(frank, ledger.CurrencyLimit{Currency: "USD", MaxPerDay: 50})
	for _, act := range []func(context.Context, ledger.TransferRequest) (ledger.Result, error){b.Transfer, b.Authorize} {
		request := b.to(grace, frank, 20)
		request.Limit = limit
		b.must(act(b.t.Context(), request))
	}
	heidi := b.user(100)
	b.limitWallet(heidi, ledger.CurrencyLimit{Currency: "USD", MaxPerTransfer: 20, MaxPerDay: 50})
	b.must(b.Transfer(b.t.Context(), b.to(grace, heidi, 20)))
	b.must(b.OpenWithdrawal(b.t.Context(), b.to(grace, heidi, 20)))
	if err := b.close(b.user(0)); err != nil {
		b.t.Fatal(err)
	}
}

// bankTransfers adds deposits and withdrawals in two currencies.
func (b *busyFixture) bankTransfers() {
	t, ctx := b.t, b.t.Context()
	settle := func(id uuid.UUID, executed bool) {
		b.must(b.Settle(ctx, ledger.Settlement{Transfer: id, Executed: executed}))
	}
	deposit := func(minor int64) uuid.UUID {
		return b.must(b.OpenDeposit(ctx, ledger.TransferRequest{Owner: b.alice, Key: newKey(), Amount: usd(minor)}))
	}
	withdraw := func(minor int64) uuid.UUID {
		return b.must(b.OpenWithdrawal(ctx, ledger.TransferRequest{Owner: b.alice, Key: newKey(), Amount: usd(minor)}))
	}
	b.waiting = deposit(11)
	settle(deposit(12), false)
	settle(withdraw(13), true)
	b.rejected = withdraw(14)
	settle(b.rejected, false)
	withdraw(15)
	if _, err := b.OpenWallet(ctx, b.alice, "EUR"); err != nil {
		t.Fatal(err)
	}
	settle(b.must(b.OpenDeposit(ctx, ledger.TransferRequest{
		Owner: b.alice, Key: newKey(), Amount: money.Amount{Minor: 77, Currency: "EUR"},
	})), true)
}

func (b *busyFixture) audit() ledger.Report {
	b.t.Helper()
	report, err := ledger.Audit(b.t.Context(), b.pool)
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

func broken(r ledger.Report) []string {
	var names []string
	for _, c := range r.Checks {
		if !c.OK() {
			names = append(names, c.Name)
		}
	}
	return names
}

func table(r ledger.Report) string {
	var text strings.Builder
	_ = r.WriteTable(&text)
	return text.String()
}

func TestAuditPassesBusyLedger(t *testing.T) {
	t.Parallel()
	b := newBusyFixture(t)
	report := b.audit()
	if !report.OK() {
		t.Fatalf("the audit of correct books fails:\n%s", table(report))
	}
	for _, c := range report.Checks {
		if c.Rows == 0 {
			t.Errorf("%s has checked no row", c.Name)
		}
	}
	if text := table(report); !strings.Contains(text, "double_entry") || strings.Contains(text, "BROKEN") {
		t.Errorf("the table reads:\n%s", text)
	}
}

// damages change the tables without the ledger, one thing each. In the SQL, $one and the like are
// the transfers of busyFixture, and @alice and the like are accounts in USD.
var damages = []struct {
	name   string
	sql    string
	breaks []string // the checks that must fail, in the order of the report; all others must pass
	row    string   // the row that the first of them must name
	signed bool     // it also changes what an earlier audit has signed
}{
	{"a posting moved to another transfer", `UPDATE postings SET transfer_id = $taken WHERE transfer_id = $captured AND amount < 0`,
		[]string{"double_entry"}, "transfer $captured", false},
	{"the postings of two transfers exchanged", `UPDATE postings SET transfer_id = CASE transfer_id WHEN $taken THEN $captured ELSE $taken END
		WHERE transfer_id IN ($taken, $captured)`, []string{"postings_match"}, "transfer $captured", false},
	{"postings of a refused transfer", `UPDATE postings SET transfer_id = $refused WHERE transfer_id = $captured`,
		[]string{"posted_only"}, "transfer $refused", false},
	{"postings in the table of a transfer that has its own", `UPDATE postings SET transfer_id = $one WHERE transfer_id = $captured`,
		[]string{"posted_only"}, "transfer $one", false},
	{"a wallet in another currency", `UPDATE accounts SET currency = 'EUR' WHERE id = @eve`,
		[]string{"one_currency"}, "transfer $refused", false},
	{"an own posting without its event", `ALTER TABLE transfers DROP CONSTRAINT transfers_own_postings;
		UPDATE transfers SET digest = NULL WHERE id = $last`, []string{"own_postings", "digests"}, "transfer $last", false},
	{"own postings of a transfer that is not posted at once", `ALTER TABLE transfers DROP CONSTRAINT transfers_own_postings;
		UPDATE transfers SET kind = 'deposit' WHERE id = $last`, []string{"own_postings", "payments", "events", "digests"}, "transfer $last", false},
	{"own postings of another amount", `ALTER TABLE transfers DROP CONSTRAINT transfers_own_postings;
		UPDATE transfers SET posted_amount = posted_amount - 1 WHERE id = $last`,
		[]string{"own_postings", "running_balance", "balance", "credited", "digests"}, "transfer $last", false},
	{"an id of another time", `UPDATE transfers SET id = (substr(id::text, 1, 15) || '3e8' || substr(id::text, 19))::uuid WHERE id = $last`,
		[]string{"id_time", "digests"}, "transfer ", false},
	{"own postings with an earlier time", `UPDATE transfers SET resolved_at = resolved_at - interval '1 hour' WHERE id = $one`,
		[]string{"id_time", "dates", "digests"}, "transfer $one", false},
	{"a gap in the sequence numbers of own postings", `UPDATE transfers SET credit_seq = credit_seq + 1 WHERE id = $last;
		UPDATE accounts SET seq = seq + 1 WHERE id = @dave`, []string{"sequence"}, "account @dave", false},
	{"a gap in the sequence numbers", `UPDATE postings SET seq = seq + 1 WHERE account_id = @alice AND seq = (SELECT seq FROM accounts WHERE id = @alice);
		UPDATE accounts SET seq = seq + 1 WHERE id = @alice`, []string{"sequence"}, "account @alice", false},
	{"a wrong running balance", `UPDATE postings SET balance_after = balance_after + 1 WHERE account_id = @alice AND seq = 1`,
		[]string{"running_balance"}, "account @alice seq 1", false},
	{"a wrong running balance of an own posting", `UPDATE transfers SET debit_balance = debit_balance + 1 WHERE id = $one`,
		[]string{"running_balance"}, "account @alice seq 2", false},
	{"a posting with an earlier time", `UPDATE postings SET posted_at = posted_at - interval '1 hour' WHERE transfer_id = $captured AND amount < 0`,
		[]string{"dates"}, "account @alice seq ", false},
	{"an own posting with the time of the one before", `UPDATE postings SET posted_at = (SELECT resolved_at FROM transfers WHERE id = $one)
		WHERE account_id = @alice AND seq = 1`, []string{"dates"}, "account @alice seq 2", false},
	{"an own event before that of an earlier posting", `UPDATE transfers SET event_xid = '3' WHERE id = $last`,
		[]string{"own_order"}, "account @dave seq 3", false},
	{"a posting with a time after as_of", `UPDATE accounts SET as_of = as_of - interval '1 hour' WHERE id = @alice`,
		[]string{"dates"}, "account @alice: as_of", false},
	{"money moved from one wallet to another without postings", `UPDATE accounts SET balance = balance + CASE id WHEN @alice THEN 1 ELSE -1 END
		WHERE id IN (@alice, @bob)`, []string{"balance"}, "account @alice", false},
	{"more credited than came in", `UPDATE accounts SET credited = credited + 1 WHERE id = @alice`, []string{"credited"}, "account @alice", false},
	{"a checkpoint with another sum", `INSERT INTO account_checkpoints SELECT account_id, seq, 1, posted_at FROM all_postings
		WHERE account_id = @alice AND seq = 3`, []string{"credited"}, "account @alice", false},
	{"less credited than from a checkpoint on", `INSERT INTO account_checkpoints SELECT account_id, seq, 1000, posted_at FROM all_postings
		WHERE account_id = @alice AND seq = 1; UPDATE accounts SET credited = credited - 1 WHERE id = @alice`, []string{"credited"}, "account @alice", false},
	{"a checkpoint of no posting", `INSERT INTO account_checkpoints SELECT id, seq + 1, credited, as_of FROM accounts WHERE id = @alice`,
		[]string{"credited"}, "account @alice", false},
	{"a checkpoint with the time of another posting", `INSERT INTO account_checkpoints SELECT account_id, seq, 1000, posted_at + interval '1 microsecond'
		FROM all_postings WHERE account_id = @alice AND seq = 1`, []string{"credited"}, "account @alice", false},
	{"a hold without a transfer", `UPDATE accounts SET held = held + 1 WHERE id = @alice`, []string{"held"}, "account @alice", false},
	{"a hold that the triggers do not know", `DELETE FROM account_holds WHERE account_id = @alice`, []string{"holds"}, "account @alice", false},
	{"a wallet that is frozen without its owner", `UPDATE accounts SET status = 'frozen' WHERE id = @alice`, []string{"freeze"}, "account @alice", false},
	{"an active wallet of a frozen owner", `UPDATE account_owners SET status = 'frozen' WHERE owner = (SELECT owner FROM accounts WHERE id = @alice);
		UPDATE accounts SET status = 'active' WHERE id = @alice`, []string{"freeze"}, "account @alice", false},
	{"money in the wallet of a closed owner", `UPDATE accounts SET status = 'frozen' WHERE owner = (SELECT owner FROM accounts WHERE id = @alice);
		UPDATE account_owners SET status = 'frozen', closed_at = now() WHERE owner = (SELECT owner FROM accounts WHERE id = @alice)`,
		[]string{"closed"}, "account @alice: balance ", false},
	{"a wallet below its floor", `ALTER TABLE accounts DROP CONSTRAINT accounts_floor;
		UPDATE accounts SET floor = balance - held + 1 WHERE id = @alice`, []string{"floor"}, "account @alice", false},
	{"money created on one side of a transfer", `UPDATE postings SET amount = amount + 1, balance_after = balance_after + 1 WHERE transfer_id = $taken AND amount > 0;
		UPDATE transfers SET credit_balance = credit_balance + 1 WHERE id = $last;
		UPDATE accounts SET balance = balance + 1 WHERE id = @dave`, []string{"double_entry", "currency_sums"}, "transfer $taken", false},
	{"a key with two effects", `ALTER TABLE transfers DROP CONSTRAINT transfers_key;
		UPDATE transfers SET idem_key = (SELECT max(idem_key) FROM transfers WHERE kind = 'capture') WHERE kind = 'capture'`,
		[]string{"keys"}, "owner ", false},
	{"a void with the state of a refusal", `UPDATE transfers SET state = 'refused' WHERE kind = 'void' AND state = 'voided'`,
		[]string{"one_end"}, "transfer ", false},
	{"a second capture", `UPDATE transfers SET state = 'posted', posted_amount = amount WHERE kind = 'capture' AND state = 'refused'`,
		[]string{"one_end"}, "transfer ", false},
	{"more spent than was transferred", `UPDATE limit_spending SET spent = spent + 1`, []string{"limits"}, "limit ", false},
	{"a limited transfer that is not counted", `INSERT INTO limited_transfers SELECT $one, limit_id, day FROM limit_spending LIMIT 1`, []string{"limits"}, "limit ", false},
	{"more spent than the limit allows", `UPDATE spending_limits SET max_per_day = 39`, []string{"limits"}, "limit ", false},
	{"more spent from a limited wallet than was transferred", `UPDATE wallet_spending SET spent = spent + 1`, []string{"wallet_limits"}, "account ", false},
	{"a transfer that counts for another wallet", `ALTER TABLE wallet_limited_transfers DISABLE TRIGGER USER;
		INSERT INTO wallet_limited_transfers SELECT $other, account_id, day FROM wallet_spending LIMIT 1`, []string{"wallet_limits"}, "account ", false},
	{"a limited wallet that is not marked", `UPDATE accounts SET limited = false`, []string{"wallet_limits"}, "account ", false},
	{"a reversed amount without its reversal", `UPDATE transfers SET reversed_amount = reversed_amount + 1 WHERE id = $one`,
		[]string{"reversals"}, "transfer $one", false},
	{"a payment of another amount", `UPDATE payments SET amount = amount + 1 WHERE transfer_id = $waiting`,
		[]string{"payments"}, "transfer $waiting", false},
	{"a payment without a transfer", `INSERT INTO payments (transfer_id, direction, external_ref, amount, currency, next_at)
		VALUES ('00000000-0000-7000-8000-000000000001', 'deposit', 'missing', 1, 'USD', now())`,
		[]string{"payments"}, "transfer 00000000-0000-7000-8000-000000000001", false},
	{"an open payment of a voided withdrawal", `UPDATE payments SET state = 'needs_review' WHERE transfer_id = $rejected`,
		[]string{"settled"}, "transfer $rejected", false},
	{"a clearing account of another kind", `UPDATE accounts SET kind = 'suspense' WHERE kind = 'clearing' AND currency = 'EUR'`,
		[]string{"clearing", "suspense"}, "currency EUR", true},
	{"a payment that no worker will handle", `ALTER TABLE payments DROP CONSTRAINT payments_due;
		UPDATE payments SET next_at = NULL WHERE transfer_id = $waiting`, []string{"way_to_end"}, "transfer $waiting", false},
	{"an authorization without an end", `UPDATE transfers SET expires_at = NULL WHERE id = $open`,
		[]string{"way_to_end", "digests"}, "transfer $open", false},
	{"an event of another state", `UPDATE events SET state = 'voided' WHERE transfer_id = $captured AND state = 'posted'`,
		[]string{"events"}, "transfer $captured", false},
	{"an event in the table of a transfer that has its own", `UPDATE events SET transfer_id = $one WHERE transfer_id = $waiting`,
		[]string{"events"}, "transfer $one", false},
	{"an event above the cluster's transactions", `UPDATE events SET xid = '9000000000000000' WHERE transfer_id = $captured`,
		[]string{"event_order"}, "event ", false},
	{"an own event above the cluster's transactions", `UPDATE transfers SET event_xid = '9000000000000000' WHERE id = $last`,
		[]string{"event_order"}, "event ", false},
	{"two events with one position", `UPDATE transfers SET (event_xid, event_id) = (SELECT xid, id FROM events WHERE transfer_id = $waiting)
		WHERE id = $last`, []string{"event_positions"}, "event ", false},
	{"a sequence behind its column", `SELECT setval('events_id_seq', 1)`, []string{"sequences"}, "the sequence of events.id is at 1", false},
	{"an event deleted", `DELETE FROM events WHERE transfer_id = $waiting`, []string{"events"}, "transfer $waiting", false},
	{"a tag added", `UPDATE transfers SET tags = 'project=apollo' WHERE id = $one`, []string{"digests"}, "transfer $one", false},
	{"a memo rewritten", `UPDATE transfers SET memo = 'something else' WHERE id = $one`, []string{"digests"}, "transfer $one", false},
	{"a digest rewritten", `UPDATE events SET digest = sha256('') WHERE transfer_id = $captured`, []string{"digests"}, "transfer $captured", false},
	{"an own digest rewritten", `UPDATE transfers SET digest = sha256('') WHERE id = $one`, []string{"digests"}, "transfer $one", false},
}

func TestAuditFindsDamage(t *testing.T) {
	t.Parallel()
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			b := newBusyFixture(t)
			b.damage(damage.sql)
			b.checkReport(b.audit(), damage.breaks, damage.row)
		})
	}
	t.Run("every check is broken by some damage", func(t *testing.T) {
		t.Parallel()
		var tested []string
		for _, damage := range damages {
			tested = append(tested, damage.breaks...)
		}
		b := &busyFixture{fixture: newFixture(t)}
		for _, c := range b.audit().Checks {
			if !slices.Contains(tested, c.Name) {
				t.Errorf("no damage breaks %s", c.Name)
			}
		}
	})
}

// checkReport compares the checks that fail, and the first row that a report names.
func (b *busyFixture) checkReport(report ledger.Report, breaks []string, row string) {
	t := b.t
	t.Helper()
	if got := broken(report); !slices.Equal(got, breaks) {
		t.Fatalf("broken: %v, want %v\n%s", got, breaks, table(report))
	}
	first, _ := report.FirstBroken()
	row = b.fill(row, "", "")
	if !slices.ContainsFunc(first.Broken, func(s string) bool { return strings.HasPrefix(s, row) }) {
		t.Errorf("%s names %q, want one that begins with %q", first.Name, first.Broken, row)
	}
	if text := table(report); !strings.Contains(text, "BROKEN") || !strings.Contains(text, first.Broken[0]) {
		t.Errorf("the table does not report it:\n%s", text)
	}
}

// damage runs SQL as a superuser without triggers, which no other role can do.
func (b *busyFixture) damage(sql string) {
	b.t.Helper()
	ctx := b.t.Context()
	conn, err := pgx.Connect(ctx, b.db.SuperuserURL)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(ctx, "SET session_replication_role = replica; "+b.fill(sql, "'", "'::uuid")); err != nil {
		b.t.Fatal(err)
	}
}

// fill replaces the names of transfers and accounts by their ids.
func (b *busyFixture) fill(text, before, after string) string {
	b.t.Helper()
	for name, id := range map[string]uuid.UUID{
		"$one": b.one, "$other": b.other, "$refused": b.refused, "$open": b.open,
		"$waiting": b.waiting, "$rejected": b.rejected, "$captured": b.captured, "$taken": b.taken, "$last": b.last,
	} {
		text = strings.ReplaceAll(text, name, before+id.String()+after)
	}
	for name, owner := range map[string]ledger.UserID{"@alice": b.alice, "@bob": b.bob, "@dave": b.dave, "@eve": b.eve} {
		if !strings.Contains(text, name) {
			continue
		}
		// The first wallet is the one in USD, even if damage has changed its currency.
		const find = `SELECT min(id)::text FROM accounts WHERE owner = $1`
		var id string
		if err := b.pool.QueryRow(b.t.Context(), find, owner).Scan(&id); err != nil {
			b.t.Fatal(err)
		}
		text = strings.ReplaceAll(text, name, id)
	}
	return text
}

func TestAuditPassesWhileLedgerIsRunning(t *testing.T) {
	t.Parallel()
	b := newBusyFixture(t)
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				for _, o := range []ledger.TransferRequest{b.to(b.bob, b.alice, 1), b.to(b.alice, b.bob, 1)} {
					if _, err := b.Transfer(t.Context(), o); err != nil {
						t.Error(err)
					}
				}
				r, err := b.Authorize(t.Context(), b.to(b.dave, b.carol, 1))
				if err == nil {
					_, err = b.Void(t.Context(), ledger.FollowUp{Owner: b.dave, Key: newKey(), Target: r.Transfer.ID})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if report := b.audit(); !report.OK() {
			t.Errorf("the audit of correct books fails:\n%s", table(report))
			break
		}
	}
	stop()
	callers.Wait()
}

// TestAuditsShareSmallPool: concurrent audits finish although the pool has too few connections for
// all their helpers.
func TestAuditsShareSmallPool(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	config := h.pool.Config()
	config.MaxConns = 3
	small, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	h.user(100)
	var audits sync.WaitGroup
	for range 12 {
		audits.Go(func() {
			if report, err := ledger.Audit(t.Context(), small); err != nil || !report.OK() || len(report.Checks) < 20 {
				t.Errorf("%d checks, %v", len(report.Checks), err)
			}
		})
	}
	audits.Wait()
}

// BenchmarkAudit audits 200,000 postings that the ledger has made and reports the time for a
// million. Making them takes longer than the audit.
func BenchmarkAudit(b *testing.B) {
	const transfers, callers, users = 100_000, 1024, 2_000
	db := pgtest.New(b)
	pool, err := pgxpool.New(b.Context(), db.AppURL)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	l := ledger.Open(ledger.Config{Pool: pool, MaxBatch: callers, BatchTimeout: time.Minute})
	h := &fixture{l, b, pool, db}
	defer func() { _ = l.Close(context.Background()) }()
	owners := make([]ledger.UserID, users)
	spread(users, 64, func(i int) { owners[i] = h.user(1_000_000) })
	spread(transfers, callers, func(i int) {
		o := ledger.TransferRequest{Owner: owners[i%users], Key: newKey(), Payee: owners[(i+1+i/users)%users], Amount: usd(1)}
		if _, err := l.Transfer(b.Context(), o); err != nil {
			b.Error(err)
		}
	})
	for b.Loop() {
		began := time.Now()
		report, err := ledger.Audit(b.Context(), pool)
		if err != nil || !report.OK() {
			b.Fatal(err, table(report))
		}
		b.ReportMetric(time.Since(began).Seconds()*1e6/(2*transfers), "s/million")
		for _, c := range report.Checks {
			b.ReportMetric(float64(c.Duration.Milliseconds()), "ms/"+c.Name)
		}
	}
}

// spread calls work(0) to work(n-1) in this many goroutines.
func spread(n, goroutines int, work func(i int)) {
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := g; i < n; i += goroutines {
				work(i)
			}
		})
	}
	group.Wait()
}
