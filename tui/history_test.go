package tui

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
)

func TestTheHistoryIsBounded(t *testing.T) {
	var o operations
	for i := range 3 * seriesLimit {
		s := snapshotAt(i)
		s.Queues = &[]client.QueueSnapshot{{Name: fmt.Sprint(i), ProcessedTotal: i}}
		o.take(s)
	}
	if n, lists := len(o.seconds.of(apiP99)), len(o.seconds.lists); n != seriesLimit || lists > maxFigures || len(o.totals) > maxQueues {
		t.Errorf("%d values of %d figures, %d queues", n, lists, len(o.totals))
	}
}

func snapshotOf(done int, at time.Time) client.OpsSnapshot {
	return client.OpsSnapshot{At: at, Queues: &[]client.QueueSnapshot{{Name: "bank", ProcessedTotal: done}}}
}

func TestThroughput(t *testing.T) {
	var o operations
	o.take(snapshotOf(10, noon))
	o.take(snapshotOf(30, noon.Add(2*time.Second)))
	if got := o.seconds.now(doneRate + "bank"); got != 10 {
		t.Errorf("%f a second", got)
	}
	o.take(snapshotOf(5, noon.Add(3*time.Second))) // counted from the start
	if got := o.seconds.now(doneRate + "bank"); !math.IsNaN(got) {
		t.Errorf("%f a second", got)
	}
}

// listed writes values with – for unknown and . for idle.
func listed(values []float64) string {
	var words []string
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			words = append(words, "–")
		case math.IsInf(v, -1):
			words = append(words, ".")
		default:
			words = append(words, fmt.Sprint(v))
		}
	}
	return strings.Join(words, " ")
}

func historyOf(at time.Time, rates, p50 []*float32) client.OpsHistory {
	latency := client.LatencyHistory{PerSecond: rates, P50Ms: p50, P99Ms: p50}
	return client.OpsHistory{At: at, StepSeconds: 1, Samples: len(rates), Api: latency, Commits: latency}
}

// TestChartsBeginWithTheHistory: the snapshots continue the history of the server, gaps stay gaps,
// and what the dashboard saw before a restart of the server is kept.
func TestChartsBeginWithTheHistory(t *testing.T) {
	m := operatorModel(t)
	f32 := func(v float32) *float32 { return &v }
	api := func(second int, rate float64, p50 *float64) {
		m.ops.take(client.OpsSnapshot{At: noon.Add(time.Duration(second) * time.Second), Api: client.LatencySnapshot{PerSecond: rate, P50Ms: p50, P99Ms: p50}})
	}
	api(1, 7, ptr(70.0)) // arrives before the history
	m.takeHistory(historyMsg{history: historyOf(noon, []*float32{f32(4), nil, f32(0), f32(6)}, []*float32{f32(40), nil, nil, f32(60)})})
	api(2, 0, nil)
	api(4, 9, ptr(90.0)) // a snapshot that came late
	api(8, 5, ptr(50.0)) // the connection was lost
	if got, want := listed(m.ops.seconds.of(apiP50)), "40 – . 60 70 . . 90 – – – 50"; got != want {
		t.Errorf("p50 is %s, want %s", got, want)
	}
	if got := m.ops.seconds.mean(apiRate, 60); got != 3.875 {
		t.Errorf("%f per second", got)
	}

	// The server was restarted, and its history begins again.
	m.takeHistory(historyMsg{history: historyOf(noon.Add(10*time.Second), []*float32{f32(1), f32(2)}, []*float32{f32(10), f32(20)})})
	if got, want := listed(m.ops.seconds.of(apiP50)), "40 – . 60 70 . . 90 – – – 50 10 20"; got != want {
		t.Errorf("p50 is %s, want %s", got, want)
	}
	m.takeHistory(historyMsg{err: errors.New("forbidden")})
	m.takeHistory(historyMsg{history: client.OpsHistory{StepSeconds: 1}})
	if n := len(m.ops.seconds.of(apiP50)); n != 14 {
		t.Errorf("%d values", n)
	}
	for step := range int64(3 * seriesLimit) { // any order of steps keeps the lists equally long
		m.ops.seconds.advance(noon.Unix() + step*7%11)
	}
	for name, values := range m.ops.seconds.lists {
		if len(values) != m.ops.seconds.length {
			t.Errorf("%s has %d values, not %d", name, len(values), m.ops.seconds.length)
		}
	}
}

// TestChartsOfTheDay are requested once per minute, while they are shown.
func TestChartsOfTheDay(t *testing.T) {
	m := operatorDashboard(t, 120, 40)
	now := noon
	m.clock = func() time.Time { return now }
	asks := func() bool { _, asks := m.Update(eventsMsg{}); return asks != nil }
	m.Update(keyMsg("5"))
	if asks() {
		t.Error("the history of minutes is requested, but is not shown")
	}
	if _, asks := m.Update(keyMsg("w")); asks == nil {
		t.Error("it is not requested")
	}
	if asks() {
		t.Error("it is requested again at once")
	}
	f32 := func(v float32) *float32 { return &v }
	history := historyOf(noon, []*float32{f32(1), f32(1)}, []*float32{f32(2), f32(3)})
	history.StepSeconds = 60
	m.Update(historyMsg{history: history})
	if view := m.View(); !strings.Contains(view, "1 h ago") {
		t.Errorf("%s", view)
	}
	if now = noon.Add(time.Minute); !asks() {
		t.Error("it is not requested again after a minute")
	}
}
