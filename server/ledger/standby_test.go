package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

// The synchronous standby does not answer, and the ledger gives up waiting for the COMMIT of a
// transfer: the transfer is on the primary alone, and would be lost in a failover. Asking again
// with its key must not acknowledge it before the standby has it.
func TestReplayWaitsForTheStandby(t *testing.T) {
	t.Parallel()
	pg, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{Dir: pgtest.TempDir(t)})
	testkit.Must(t, err)
	t.Cleanup(func() { _ = pg.Kill() })
	testkit.Must(t, pg.EnsureDatabase(t.Context(), "kizo"))
	testkit.Must(t, migrations.Apply(t.Context(), pg.URL("kizo", embedded.OwnerRole)))
	pool, err := pgxpool.New(t.Context(), pg.URL("kizo", embedded.AppRole))
	testkit.Must(t, err)
	t.Cleanup(pool.Close)
	h := &fixture{t: t, pool: pool, db: &pgtest.Database{SuperuserURL: pg.URL("kizo", embedded.AdminRole)}}
	h.Ledger = h.another(ledger.Config{Pool: pool, BatchTimeout: time.Second})
	super := testkit.Connect(t, h.db.SuperuserURL)
	standby := func(name string) {
		t.Helper()
		_, err := super.Exec(t.Context(), `ALTER SYSTEM SET synchronous_standby_names = `+name)
		testkit.Must(t, err)
		_, err = super.Exec(t.Context(), `SELECT pg_reload_conf()`)
		testkit.Must(t, err)
		testkit.Eventually(t, "new sessions have the setting", func() bool {
			conn, err := pgx.Connect(t.Context(), h.db.SuperuserURL)
			if err != nil {
				return false
			}
			defer conn.Close(context.Background())
			var now string
			return conn.QueryRow(t.Context(), `SHOW synchronous_standby_names`).Scan(&now) == nil && (now == "") == (name == "''")
		})
		pool.Reset()
	}

	alice, bob := h.user(100), h.user(0)
	request := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)}
	group := []ledger.GroupRequest{{TransferRequest: request}}
	_, err = super.Exec(t.Context(), `SET synchronous_commit = local`) // this session does not wait
	testkit.Must(t, err)
	standby("absent")
	_, err = h.Transfer(t.Context(), request)
	wantCode(t, err, ledger.OutcomeUnknown)
	testkit.Eventually(t, "the transfer is committed on the primary alone", func() bool {
		var rows int
		testkit.Must(t, super.QueryRow(t.Context(), `SELECT count(*) FROM transfers WHERE idem_key = $1`, request.Key).Scan(&rows))
		return rows == 1
	})
	if r, err := h.Transfer(t.Context(), request); err == nil {
		t.Errorf("acknowledged without the standby: %+v", r)
	}
	bounded, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r, err := h.Replay(bounded, group); err == nil {
		t.Errorf("acknowledged without the standby: %+v", r[0])
	}
	standby("''")
	if r, err := h.Transfer(t.Context(), request); err != nil || !r.Replayed {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := h.Replay(t.Context(), group); err != nil || r[0] == nil || r[0].Err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}
