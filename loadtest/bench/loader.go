package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/server/embedded"
)

// chunk is how many transfers the loader inserts in one transaction.
const chunk = 50_000

// The loader inserts the rows that the ledger would insert for transfers of one minor unit between
// the wallets of busyPair, by SQL in large transactions and without triggers: transfers with their
// own postings, event and digest, and the balances, counters and checkpoints of the accounts. It
// is several times as fast as the ledger; the audit, which computes all of that again, accepts its
// rows. They differ in what no rule is about: a transaction has more transfers, and the
// fingerprint of a transfer is that of no command.
const (
	prepareLoad = `SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB';
		SET enable_nestloop = off; SET jit = off;
		CREATE TEMPORARY TABLE wallets (nth bigint, id bigint, owner uuid);
		CREATE TEMPORARY TABLE orders (n bigint, id uuid, debit bigint, credit bigint, owner uuid, micros bigint);
		CREATE TEMPORARY TABLE legs (n bigint, account bigint, amount bigint, seq bigint, balance bigint, credited numeric)`
	loadWallets = `INSERT INTO wallets SELECT o.nth - 1, a.id, a.owner
		FROM unnest($1::uuid[]) WITH ORDINALITY AS o (owner, nth) JOIN accounts a ON a.owner = o.owner`
	// The times of a chunk are spread from the newest posting until now.
	loadOrders = `WITH bounds AS (
			SELECT first, GREATEST(((extract(epoch FROM clock_timestamp()) * 1000000)::bigint - first) / $1, 1) AS step
			FROM (SELECT (extract(epoch FROM max(as_of)) * 1000000)::bigint + 1 AS first FROM accounts) a),
		pairs AS (
			SELECT n, CASE tenth WHEN 0 THEN 0 ELSE 2 + x END AS debtor,
				CASE tenth WHEN 1 THEN 0 ELSE 2 + (x + 1 + floor(random() * ($2 - 3))::bigint) % ($2 - 2) END AS creditor
			FROM (SELECT n, floor(random() * 10)::int AS tenth, floor(random() * ($2 - 2))::bigint AS x FROM generate_series(1, $1::bigint) n OFFSET 0) r)
		INSERT INTO orders SELECT n, encode(int8send(((micros / 1000) << 16) | (7 << 12) | (micros % 1000)) || substr(uuid_send(gen_random_uuid()), 9), 'hex')::uuid,
			d.id, c.id, d.owner, micros
		FROM (SELECT p.*, first + n * step AS micros FROM pairs p, bounds) p
		JOIN wallets d ON d.nth = p.debtor JOIN wallets c ON c.nth = p.creditor`
	loadLegs = `INSERT INTO legs SELECT n, account, amount, a.seq + row_number() OVER w, a.balance + sum(amount) OVER w,
			a.credited + COALESCE(sum(amount) FILTER (WHERE amount > 0) OVER w, 0)
		FROM (SELECT n, debit AS account, -1 AS amount FROM orders UNION ALL SELECT n, credit, 1 FROM orders) l
		JOIN accounts a ON a.id = l.account WINDOW w AS (PARTITION BY account ORDER BY n)`
	// The digest is that of server/ledger/canonical.go.
	loadTransfers = `INSERT INTO transfers (id, kind, state, debit_account, credit_account, amount, posted_amount, currency, owner, idem_key,
			fingerprint, created_at, resolved_at, debit_seq, debit_balance, credit_seq, credit_balance, event_xid, event_id, digest)
		SELECT o.id, 'transfer', 'posted', o.debit, o.credit, 1, 1, 'USD', o.owner, o.key, sha256(convert_to(o.key, 'UTF8')), o.at, o.at,
			d.seq, d.balance, c.seq, c.balance, event_number(pg_current_xact_id()), e.first + o.n,
			sha256(int8send(16) || 'kizo.transfer.v1' || uuid_send(o.id) || int8send(8) || 'transfer' || int8send(6) || 'posted'
				|| int8send(o.debit) || int8send(o.credit) || int8send(1) || int8send(3) || 'USD' || int8send(1)
				|| uuid_send(o.owner) || int8send(length(o.key)) || convert_to(o.key, 'UTF8') || int8send(0) || int8send(0)
				|| uuid_send('00000000-0000-0000-0000-000000000000') || int8send(0) || int8send(o.micros) || int8send(o.micros))
		FROM (SELECT *, left(id::text, 19) || substr(gen_random_uuid()::text, 20) AS key,
				'epoch'::timestamptz + micros * interval '1 microsecond' AS at FROM orders ORDER BY n OFFSET 0) o
		JOIN legs d ON d.n = o.n AND d.amount < 0 JOIN legs c ON c.n = o.n AND c.amount > 0
		CROSS JOIN (SELECT setval('events_id_seq', nextval('events_id_seq') + $1::bigint) - $1::bigint AS first) e
		ORDER BY o.n`
	loadAccounts = `UPDATE accounts a SET seq = l.seq, balance = l.balance, credited = l.credited,
			as_of = 'epoch'::timestamptz + o.micros * interval '1 microsecond'
		FROM (SELECT DISTINCT ON (account) * FROM legs ORDER BY account, n DESC) l JOIN orders o ON o.n = l.n WHERE a.id = l.account`
	loadCheckpoints = `INSERT INTO account_checkpoints
		SELECT l.account, l.seq, l.credited, 'epoch'::timestamptz + o.micros * interval '1 microsecond'
		FROM legs l JOIN orders o ON o.n = l.n WHERE l.seq % 128 = 0 ORDER BY o.n`
)

// load adds n transfers: nine tenths without the indexes of the table, which are built again
// afterwards, and the last tenth with them, which splits the pages of the indexes as the ledger
// does. The last tenth follows a checkpoint of PostgreSQL, since each page that changes after
// one is written to the WAL as a whole, and what is measured would mostly be that.
func (g *grower) load(ctx context.Context, n int64) error {
	url := g.rig.DatabaseURL(g.books.name, embedded.AdminRole)
	if err := rig.Execute(ctx, url, `UPDATE pg_index SET indisready = false, indisvalid = false WHERE indrelid = 'transfers'::regclass`); err != nil {
		return err
	}
	if err := g.insert(ctx, n-n/10); err != nil {
		return err
	}
	if err := rig.Execute(ctx, url, `SET maintenance_work_mem = '1GB'`, `REINDEX TABLE transfers`, `VACUUM (ANALYZE)`, `CHECKPOINT`); err != nil {
		return err
	}
	return g.insert(ctx, n/10)
}

func (g *grower) insert(ctx context.Context, n int64) error {
	err := g.asAdmin(ctx, g.books.name, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, prepareLoad); err != nil {
			return err
		}
		owners := make([][16]byte, len(g.books.owners))
		for i, owner := range g.books.owners {
			owners[i] = owner
		}
		if _, err := conn.Exec(ctx, loadWallets, owners); err != nil {
			return err
		}
		began, loaded := time.Now(), int64(0)
		for loaded < n {
			size := min(n-loaded, chunk)
			if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return loadChunk(ctx, tx, size, len(owners)) }); err != nil {
				return err
			}
			if loaded += size; loaded%(20*chunk) == 0 {
				g.logf("%d of %d transfers loaded, %.0f/s", loaded, n, float64(loaded)/time.Since(began).Seconds())
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	g.expectMoney("transfer", rig.Sum{Count: n, Minor: n}, 0)
	return nil
}

func loadChunk(ctx context.Context, tx pgx.Tx, size int64, wallets int) error {
	if _, err := tx.Exec(ctx, `TRUNCATE orders, legs`); err != nil {
		return err
	}
	for _, s := range []struct {
		sql  string
		args []any
	}{
		{loadOrders, []any{size, wallets}}, {loadLegs, nil}, {loadTransfers, []any{size}}, {loadAccounts, nil}, {loadCheckpoints, nil},
	} {
		if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}
