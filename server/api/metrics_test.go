package api

import (
	"strconv"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// However many first requests of a kind come at once, none is lost and each is counted once.
func TestObserversAreFoundOnce(t *testing.T) {
	m := NewMetrics()
	const each, kinds = 200, 8
	var all sync.WaitGroup
	for range each {
		for status := range kinds {
			all.Go(func() { m.observer(answered{"GET", "/v1/me", 200 + status}).Observe(.01) })
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
	if known := len(*m.observers.Load()); known != kinds {
		t.Errorf("%d observers are kept, want %d", known, kinds)
	}
}

// What counting costs a request: with the histogram that is kept, and looked up by its labels.
func BenchmarkObserve(b *testing.B) {
	m := NewMetrics()
	a := answered{"POST", "/v1/transfers", 201}
	for name, find := range map[string]func() prometheus.Observer{
		"kept": func() prometheus.Observer { return m.observer(a) },
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
