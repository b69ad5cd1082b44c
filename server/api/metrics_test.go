package api

import (
	"strconv"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestObserversAreCached: many concurrent first requests are each counted once.
func TestObserversAreCached(t *testing.T) {
	m := NewMetrics()
	const each, kinds = 200, 8
	var all sync.WaitGroup
	for range each {
		for status := range kinds {
			all.Go(func() { m.observer(requestLabels{"GET", "/v1/me", 200 + status}).Observe(.01) })
		}
	}
	all.Wait()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.seconds)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != kinds {
		t.Fatalf("got %v, %v", families, err)
	}
	for _, metric := range families[0].GetMetric() {
		if n := metric.GetHistogram().GetSampleCount(); n != each {
			t.Errorf("%v counts %d, want %d", metric.GetLabel(), n, each)
		}
	}
	if cached := len(*m.observers.Load()); cached != kinds {
		t.Errorf("%d observers are cached, want %d", cached, kinds)
	}
}

// BenchmarkObserve compares a cached histogram with one that is looked up by its labels.
func BenchmarkObserve(b *testing.B) {
	m := NewMetrics()
	a := requestLabels{"POST", "/v1/transfers", 201}
	for name, find := range map[string]func() prometheus.Observer{
		"cached": func() prometheus.Observer { return m.observer(a) },
		"by labels": func() prometheus.Observer {
			return m.seconds.WithLabelValues(a.method, a.route, strconv.Itoa(a.status))
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					find().Observe(.0123)
				}
			})
		})
	}
}
