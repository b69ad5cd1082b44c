package api_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
	"github.com/JDevAman/kizo/server/listener"
)

// TestReservedConnections: while every connection is busy, a new client is rejected as if the limit
// of requests were reached; connections are reserved for operators and the bank.
func TestReservedConnections(t *testing.T) {
	t.Parallel()
	const connections, reserved = 16, 2
	metrics := listener.NewMetrics()
	h := newFixture(t, func(o *options) { o.conns = api.Connections{Max: connections, Metrics: metrics} })
	alice, bob := h.pair(1000)
	operator := h.operator()
	h.emptied()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for range connections - reserved {
		waiting.Go(func() {
			deposit := alice.asks("/v1/deposits", fields{"amount": 5, "currency": "USD"})
			deposit.headers = map[string]string{"Prefer": "wait=20"}
			h.do(deposit)
		})
	}
	for range connections - reserved {
		defer h.settle(<-h.enqueued, true)
	}
	for range 2 * connections {
		refused := h.do(alice.asks("/v1/transfers", pay(bob, 1)))
		refused.wantProblem(openapi.Overloaded)
		testkit.Equal(t, "Retry-After", refused.header.Get("Retry-After"), "1")
		h.get(operator, "/v1/ops/payments").want(http.StatusOK)
		h.do(ask{method: "POST", path: "/v1/bank/callbacks", body: fields{}}).want(http.StatusNoContent)
		h.client.CloseIdleConnections()
		testkit.Eventually(t, "the server has closed the connections of this round", func() bool {
			return openConnections(t, metrics) == connections-reserved
		})
	}
}

// openConnections returns what kizo_connections reports.
func openConnections(t *testing.T, metrics *listener.Metrics) int {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.Collectors()...)
	families, err := registry.Gather()
	testkit.Must(t, err)
	for _, family := range families {
		if family.GetName() == "kizo_connections" {
			return int(family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Fatal("no metric kizo_connections")
	return 0
}

// TestSilentConnectionsGiveWay: an open connection without requests is closed in favor of a new
// client, without an answer; the next request of its client uses a new connection.
func TestSilentConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	const connections = 16
	h := newFixture(t, func(o *options) { o.conns = api.Connections{Max: 4 * connections, PerAddress: connections} })
	alice, _ := h.pair(1000)
	var silent []net.Conn
	for range 3 * connections {
		silent = append(silent, h.dial())
	}
	h.get(alice, "/v1/me").want(http.StatusOK)
	for _, conn := range silent[:2*connections] {
		testkit.Must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("an old connection received %d bytes, %v", n, err)
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("an old connection is not closed")
		}
	}
	testkit.Equal(t, "status on the newest", h.rawOn(silent[len(silent)-1]).status, http.StatusUnauthorized)
}

func (h *fixture) rawOn(conn net.Conn) *answer {
	h.t.Helper()
	const request = "GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n"
	_, err := conn.Write([]byte(request))
	testkit.Must(h.t, err)
	return h.rawAnswer(conn, request)
}
