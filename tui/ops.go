package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/JDevAman/kizo/client"
)

// operations is the newest snapshot for operators, and the figures of the last 15 minutes and 24
// hours.
type operations struct {
	latest *client.OpsSnapshot // nil before the first one
	denied bool                // the user is not an operator
	old    string              // the age of latest if it may be out of date, otherwise empty

	receivedAt       time.Time // when latest arrived, by the clock of this machine
	seconds, minutes figures
	day              bool      // the charts show 24 hours
	minutesAt        time.Time // when minutes was last requested
	totals           map[string]queueTotals
}

// queueTotals are the counters of a queue in the newest snapshot.
type queueTotals struct{ done, failed int }

// The names of figures; those of a queue are followed by its name.
const (
	apiRate, apiP50, apiP99             = "api/s", "api p50", "api p99"
	commitRate, commitP50, commitP99    = "commits/s", "commit p50", "commit p99"
	settledRate, settledP50, settledP99 = "settled/s", "settled p50", "settled p99"
	batchSize                           = "batch"
	waitingTasks, doneRate, failedRate  = "waiting ", "done/s ", "failed/s "
)

// maxQueues limits the queues that are remembered; Kizo has one.
const maxQueues = 32

// charted returns the figures that the charts show.
func (o *operations) charted() *figures {
	if o.day {
		return &o.minutes
	}
	return &o.seconds
}

// take adds a snapshot. One that is much older than the last, for example from another server,
// restarts the figures.
func (o *operations) take(s client.OpsSnapshot) {
	seconds := 0.0
	if o.latest != nil {
		seconds = s.At.Sub(o.latest.At).Seconds()
	}
	o.latest, o.denied = &s, false
	f := &o.seconds
	if !f.advance(s.At.Round(time.Second).Unix()) {
		return
	}
	f.latency(apiRate, apiP50, apiP99, &s.Api)
	f.latency(commitRate, commitP50, commitP99, &s.Database.Commits)
	f.latency(settledRate, settledP50, settledP99, s.Settlement)
	f.set(batchSize, orIdle(s.Database.BatchSize))
	if s.Queues == nil {
		return
	}
	before := o.totals
	o.totals = map[string]queueTotals{}
	for _, q := range (*s.Queues)[:min(len(*s.Queues), maxQueues)] {
		f.set(waitingTasks+q.Name, float64(q.Pending+q.Scheduled+q.Retry))
		now := queueTotals{q.ProcessedTotal, q.FailedTotal}
		if last, known := before[q.Name]; known && seconds > 0 && now.done >= last.done && now.failed >= last.failed {
			f.set(doneRate+q.Name, float64(now.done-last.done)/seconds)
			f.set(failedRate+q.Name, float64(now.failed-last.failed)/seconds)
		}
		o.totals[q.Name] = now
	}
}

// historyMsg is the server's answer to a request for its history.
type historyMsg struct {
	history client.OpsHistory
	err     error
}

// askHistory requests the history of a resolution.
func (m *shared) askHistory(resolution string) tea.Cmd {
	if m.me.Role != client.UserRoleOperator {
		return nil
	}
	server := m.server
	return m.ask(func(ctx context.Context) tea.Msg {
		history, err := server.History(ctx, resolution)
		return historyMsg{history, err}
	})
}

// askMinutes requests the history of minutes if the charts show it and it is a minute old.
func (m *shared) askMinutes() tea.Cmd {
	if !m.ops.day || m.now.Sub(m.ops.minutesAt) < time.Minute {
		return nil
	}
	m.ops.minutesAt = m.now
	return m.askHistory("minute")
}

// takeHistory adds a history. Without one, the charts fill with the snapshots.
func (m *shared) takeHistory(msg historyMsg) {
	switch {
	case msg.err != nil:
	case msg.history.StepSeconds == int(time.Minute/time.Second):
		m.ops.minutes = figuresOf(msg.history)
	case msg.history.StepSeconds == 1:
		m.ops.seconds = figuresOf(msg.history).with(m.ops.seconds)
	}
}

// spanKey is the binding that shows more or less time in the charts.
func (m *shared) spanKey() binding {
	help := "charts of 24 hours"
	if m.ops.day {
		help = "charts of 15 minutes"
	}
	return binding{keys: []string{"w"}, shown: "w", help: help, run: func(m *shared) tea.Cmd {
		m.ops.day = !m.ops.day
		return m.askMinutes()
	}}
}
