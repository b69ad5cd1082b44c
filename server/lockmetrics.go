package server

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/server/ledger"
)

// lockMetrics say which rows other database sessions keep locked. The row and the process
// ids are labels, since they are what an operator needs to end it; at most ten rows are
// named at once, and none while nothing is locked.
type lockMetrics struct{ ledger *ledger.Ledger }

var (
	lockTimeouts = describe("kizo_ledger_lock_timeouts_total", "Batches that waited too long for a lock; the commands that did not need it were then committed without the others.")
	lockedRows   = describe("kizo_ledger_locked_rows", "Rows that other database sessions keep locked; commands that touch them are refused.")
	lockedFor    = describe("kizo_ledger_locked_row_seconds", "For how long a row has been locked, by account or transfer, and the process ids of the database sessions in the way.",
		"account", "transfer", "blocking_pids")
)

func (m lockMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lockTimeouts, lockedRows, lockedFor} {
		out <- d
	}
}

func (m lockMetrics) Collect(out chan<- prometheus.Metric) {
	locks := m.ledger.Locks()
	counter(out, lockTimeouts, float64(locks.Timeouts))
	gauge(out, lockedRows, float64(locks.Rows))
	for _, row := range locks.Reported {
		account, transfer := strconv.FormatInt(row.Account, 10), ""
		if row.Account == 0 {
			account, transfer = "", row.Transfer.String()
		}
		pids := make([]string, len(row.Blockers))
		for i, pid := range row.Blockers {
			pids[i] = strconv.Itoa(int(pid))
		}
		gauge(out, lockedFor, time.Since(row.Since).Seconds(), account, transfer, strings.Join(pids, ","))
	}
}
