package ledger_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// olderVersion writes transfers as versions up to schema 3 did: the postings and the event are rows
// of tables, and the session itself writes the balances.
type olderVersion struct {
	t       testing.TB
	conn    *pgx.Conn
	fee     ledger.AccountID // may be overdrawn
	wallets [2]ledger.AccountID
	owners  [2]ledger.UserID
}

func newOlderVersion(t testing.TB, db *pgtest.Database) *olderVersion {
	t.Helper()
	v := &olderVersion{t: t, conn: testkit.Connect(t, db.AppURL)}
	open := func(owner *ledger.UserID, kind string, floor *int64) (id ledger.AccountID) {
		testkit.Must(t, v.conn.QueryRow(t.Context(), `INSERT INTO accounts (public_id, owner, currency, kind, floor)
			VALUES ($1, $2, 'USD', $3, $4) RETURNING id`, uuid.Must(uuid.NewV7()), owner, kind, floor).Scan((*int64)(&id)))
		return id
	}
	v.fee = open(nil, "fee", nil)
	for i := range v.wallets {
		v.owners[i] = ledger.UserID(uuid.Must(uuid.NewV7()))
		v.wallets[i] = open(&v.owners[i], "wallet", new(int64))
	}
	return v
}

// transfer posts amount in one database transaction.
func (v *olderVersion) transfer(ctx context.Context, debit, credit ledger.AccountID, amount int64) error {
	return pgx.BeginFunc(ctx, v.conn, func(tx pgx.Tx) error {
		var now time.Time
		var balances, seqs [2]int64
		for _, id := range []ledger.AccountID{min(debit, credit), max(debit, credit)} {
			i := 0
			if id == credit {
				i = 1
			}
			if err := tx.QueryRow(ctx, `SELECT balance, seq FROM accounts WHERE id = $1 FOR NO KEY UPDATE`, int64(id)).
				Scan(&balances[i], &seqs[i]); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
			return err
		}
		x := ledger.Transfer{
			ID: uuid.Must(uuid.NewV7()), Kind: ledger.KindTransfer, State: ledger.Posted, DebitAccount: debit, CreditAccount: credit,
			Amount: usd(amount), PostedAmount: amount, Owner: v.owners[0], Key: newKey(), CreatedAt: now, ResolvedAt: now,
		}
		body, sum := sha256.Sum256([]byte(x.Key)), ledger.Digest(&x)
		for _, s := range []struct {
			sql  string
			args []any
		}{
			{`INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, posted_amount, currency, owner, idem_key,
				fingerprint, created_at, resolved_at) VALUES ($1, 'transfer', 'posted', $2, $3, $4, $4, 'USD', $5, $6, $7, $8, $8)`,
				[]any{x.ID, int64(debit), int64(credit), amount, x.Owner, x.Key, body[:], now}},
			{`INSERT INTO postings (account_id, seq, transfer_id, amount, balance_after, posted_at)
				VALUES ($1, $2, $7, -$8::bigint, $3, $9), ($4, $5, $7, $8, $6, $9)`,
				[]any{int64(debit), seqs[0] + 1, balances[0] - amount, int64(credit), seqs[1] + 1, balances[1] + amount, x.ID, amount, now}},
			{`INSERT INTO events (transfer_id, state, debit_account, credit_account, at, digest) VALUES ($1, 'posted', $2, $3, $4, $5)`,
				[]any{x.ID, int64(debit), int64(credit), now, sum[:]}},
			{`UPDATE accounts a SET balance = n.balance, seq = n.seq, as_of = $7
				FROM (VALUES ($1::bigint, $2::bigint, $3::bigint), ($4, $5, $6)) n (id, balance, seq) WHERE a.id = n.id`,
				[]any{int64(debit), balances[0] - amount, seqs[0] + 1, int64(credit), balances[1] + amount, seqs[1] + 1, now}},
		} {
			if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// migrateTo applies the first migrations up to a number.
func migrateTo(t testing.TB, db *pgtest.Database, number int64) {
	t.Helper()
	owner, err := sql.Open("pgx", db.AdminURL)
	testkit.Must(t, err)
	defer owner.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, owner, os.DirFS("../../migrations"))
	testkit.Must(t, err)
	_, err = provider.UpTo(t.Context(), number)
	testkit.Must(t, err)
}

// TestUpgradeFromSchema6: transfers go on while the checkpoints are added, and a month that begins
// before the upgrade has the sums of its postings.
func TestUpgradeFromSchema6(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	migrateTo(t, db, 6)
	// The ledger of this version needs the columns of migrations 11 and 15.
	_, err := testkit.Connect(t, db.AdminURL).Exec(t.Context(), `ALTER TABLE transfers ADD COLUMN tags text;
		ALTER TABLE accounts ADD COLUMN limited bool NOT NULL DEFAULT false;
		GRANT INSERT (tags) ON transfers TO kizo_app`)
	testkit.Must(t, err)
	pool, err := pgxpool.New(t.Context(), db.AppURL)
	testkit.Must(t, err)
	l := ledger.Open(ledger.Config{Pool: pool}) // it writes what the version for schema 6 wrote
	h := &fixture{l, t, pool, db}
	t.Cleanup(func() {
		testkit.Must(t, l.Close(context.Background()))
		pool.Close()
	})
	// Settling the deposits of the users reads a table that schema 6 does not have.
	owner := testkit.Connect(t, db.AdminURL)
	_, err = owner.Exec(t.Context(), `CREATE TABLE limited_transfers (transfer_id uuid, limit_id uuid, day date); GRANT SELECT ON limited_transfers TO kizo_app`)
	testkit.Must(t, err)
	alice, bob := h.user(1000), h.user(1000)
	_, err = owner.Exec(t.Context(), `DROP TABLE limited_transfers`)
	testkit.Must(t, err)
	var stop atomic.Bool
	var written atomic.Int64
	var writing sync.WaitGroup
	for worker := range 4 {
		writing.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if worker%2 == 0 {
					h.transfer(alice, bob, 2)
				} else {
					h.transfer(bob, alice, 2)
				}
				written.Add(1)
			}
		})
	}
	atLeast := func(n int64) {
		testkit.Eventually(t, "transfers go on", func() bool { return written.Load() >= n || t.Failed() })
	}
	atLeast(200)
	testkit.Must(t, migrations.Apply(t.Context(), db.AdminURL))
	atLeast(written.Load() + 300)
	stop.Store(true)
	writing.Wait()
	if h.checkpoints(alice) == 0 {
		t.Error("no checkpoint was written")
	}
	for _, user := range []ledger.UserID{alice, bob} {
		testkit.Must(t, checkMonths(t.Context(), l, pool, user, 50))
	}
	report, err := ledger.Audit(t.Context(), pool)
	testkit.Must(t, err)
	if !report.OK() {
		t.Error(table(report))
	}
}

// TestUpgradeFromSchema3: the older version goes on while the migrations run, and afterwards this
// version continues the books that it has left.
func TestUpgradeFromSchema3(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	migrateTo(t, db, 3)

	older := newOlderVersion(t, db)
	alice, bob := older.wallets[0], older.wallets[1]
	testkit.Must(t, older.transfer(t.Context(), older.fee, alice, 10_000))
	var stop atomic.Bool
	var written atomic.Int64
	var writing sync.WaitGroup
	writing.Go(func() {
		for !stop.Load() {
			if err := older.transfer(context.Background(), alice, bob, 1); err != nil {
				t.Errorf("the older version, after %d transfers: %v", written.Load(), err)
				return
			}
			written.Add(1)
		}
	})
	atLeast := func(n int64) {
		testkit.Eventually(t, "the older version goes on", func() bool { return written.Load() >= n || t.Failed() })
	}
	atLeast(20)
	testkit.Must(t, migrations.Apply(t.Context(), db.AdminURL))
	atLeast(written.Load() + 20)
	stop.Store(true)
	writing.Wait()

	pool, err := pgxpool.New(t.Context(), db.AppURL)
	testkit.Must(t, err)
	l := ledger.Open(ledger.Config{Pool: pool})
	h := &fixture{l, t, pool, db}
	t.Cleanup(func() {
		testkit.Must(t, l.Close(context.Background()))
		pool.Close()
	})
	before, n := h.now(), written.Load()
	for range 5 {
		h.transfer(older.owners[0], older.owners[1], 100)
	}
	for at, want := range map[time.Time]int64{before: n, h.now(): n + 500} {
		if got, _, err := l.BalanceAt(t.Context(), older.owners[1], "USD", at); err != nil || got != want {
			t.Errorf("the balance at %s is %d, %v, want %d", at, got, err, want)
		}
	}
	for _, user := range older.owners { // with postings from before, during and after the migrations
		testkit.Must(t, checkMonths(t.Context(), l, pool, user, 30))
	}
	var own, inTable int64
	testkit.Must(t, pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE debit_seq IS NOT NULL), count(*) FILTER (WHERE debit_seq IS NULL)
		FROM transfers`).Scan(&own, &inTable))
	if own != 5 || inTable != n+1 {
		t.Errorf("%d transfers have their own postings and %d do not, want 5 and %d", own, inTable, n+1)
	}
	report, err := ledger.Audit(t.Context(), pool)
	testkit.Must(t, err)
	if !report.OK() {
		t.Error(table(report))
	}
}
