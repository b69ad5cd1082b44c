package monitoring

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// poolMetrics collects the statistics of the pool of database connections.
type poolMetrics struct{ pool *pgxpool.Pool }

// NewPoolMetrics makes a collector of the statistics of pool.
func NewPoolMetrics(pool *pgxpool.Pool) prometheus.Collector { return poolMetrics{pool} }

var (
	connectionsBusy  = describe("kizo_database_connections_busy", "Connections in use.")
	connectionsIdle  = describe("kizo_database_connections_idle", "Connections that are open and not in use.")
	connectionsMax   = describe("kizo_database_connections_max", "Maximum number of connections.")
	acquires         = describe("kizo_database_acquires_total", "Connections taken from the pool.")
	acquireWaits     = describe("kizo_database_acquire_waits_total", "Of those, the ones that had to wait until a connection was released or opened.")
	acquireWaited    = describe("kizo_database_acquire_wait_seconds_total", "How long they waited.")
	acquiresCanceled = describe("kizo_database_acquires_canceled_total", "Callers that stopped waiting for a connection.")
)

func (m poolMetrics) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, out) }

func (m poolMetrics) Collect(out chan<- prometheus.Metric) {
	stat := m.pool.Stat()
	gauge(out, connectionsBusy, float64(stat.AcquiredConns()))
	gauge(out, connectionsIdle, float64(stat.IdleConns()))
	gauge(out, connectionsMax, float64(stat.MaxConns()))
	counter(out, acquires, float64(stat.AcquireCount()))
	counter(out, acquireWaits, float64(stat.EmptyAcquireCount()))
	counter(out, acquireWaited, stat.EmptyAcquireWaitTime().Seconds())
	counter(out, acquiresCanceled, float64(stat.CanceledAcquireCount()))
}
