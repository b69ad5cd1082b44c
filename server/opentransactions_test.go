package server_test

import (
	"context"
	"regexp"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// metricOf returns the value of a metric without labels, or false if it is absent.
func metricOf(t *testing.T, s *server.Server, name string) (float64, bool) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(mustGet(t, s.OpsURL()+"/metrics").body)
	if found == nil {
		return 0, false
	}
	value, err := strconv.ParseFloat(found[1], 64)
	testkit.Must(t, err)
	return value, true
}

// The metrics show transactions that stay open: idle ones of kizod's role, and of every role those
// that have changed or locked a row, such as one in a psql of the owner.
func TestOpenTransactionsAreMeasured(t *testing.T) {
	t.Parallel()
	const idle, write = "kizo_database_idle_transaction_seconds", "kizo_database_write_transaction_seconds"
	db := pgtest.New(t)
	s := start(t, config(t, db.AppURL))
	testkit.Eventually(t, "no transaction is open", func() bool {
		i, measured := metricOf(t, s, idle)
		w, _ := metricOf(t, s, write)
		return measured && i == 0 && w == 0
	})
	begin := func(url, sql string) *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		testkit.Must(t, err)
		t.Cleanup(func() { conn.Close(context.Background()) })
		_, err = conn.Exec(t.Context(), "BEGIN; "+sql)
		testkit.Must(t, err)
		return conn
	}
	// A transaction of kizod's role that only reads.
	own := begin(db.AppURL, "SELECT 1")
	for _, threshold := range []float64{0, .5} { // the value grows
		testkit.Eventually(t, "the idle transaction is measured", func() bool {
			i, _ := metricOf(t, s, idle)
			return i > threshold
		})
	}
	if w, _ := metricOf(t, s, write); w != 0 {
		t.Errorf("a transaction that only reads counts as writing: %v", w)
	}
	_, err := own.Exec(t.Context(), "ROLLBACK")
	testkit.Must(t, err)
	testkit.Eventually(t, "the transaction has ended", func() bool { i, _ := metricOf(t, s, idle); return i == 0 })

	// A transaction of the owner, whose state kizod's role may not read.
	others := begin(db.AdminURL, "SELECT FROM accounts FOR UPDATE; UPDATE access_version SET version = version")
	for _, threshold := range []float64{0, .5} {
		testkit.Eventually(t, "a lock of another role is measured", func() bool {
			w, _ := metricOf(t, s, write)
			return w > threshold
		})
	}
	_, err = others.Exec(t.Context(), "COMMIT")
	testkit.Must(t, err)
	testkit.Eventually(t, "the lock is released", func() bool { w, _ := metricOf(t, s, write); return w == 0 })
}
