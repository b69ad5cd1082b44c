package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
)

// TestAuditSchedule: two processes make one audit when it is due, a full one when that is due or
// when the last one cannot be continued, and make another attempt at one that has failed.
func TestAuditSchedule(t *testing.T) {
	t.Parallel()
	b := newBusyFixture(t)
	start := time.Now()
	newSchedule := func(key string) *ledger.AuditSchedule {
		return &ledger.AuditSchedule{Auditor: b.auditor(key), Every: time.Hour, FullEvery: 24 * time.Hour, Started: start}
	}
	one, other := newSchedule("a"), newSchedule("a")
	run := func(s *ledger.AuditSchedule, after time.Duration, want ledger.AuditMode, breaks ...string) {
		t.Helper()
		report, ran, err := s.RunOnce(t.Context(), start.Add(after))
		if err != nil || ran != (want != "") || report.Mode != want || !slices.Equal(broken(report), breaks) {
			t.Errorf("after %v: ran %v, %q, broken %v, %v; want %q", after, ran, report.Mode, broken(report), err, want)
		}
	}
	run(one, time.Minute, "")
	run(one, 61*time.Minute, ledger.FullAudit)
	run(other, 61*time.Minute, ledger.IncrementalAudit) // by this clock, the signed one is an hour old
	times, err := b.auditor("a").SignedAudits(t.Context())
	if err != nil || times.Last.Before(times.LastFull) || times.LastFull.Before(start) {
		t.Errorf("%+v, %v", times, err)
	}
	run(newSchedule("a"), 59*time.Minute, "")
	run(one, 3*time.Hour, ledger.IncrementalAudit)
	run(one, 25*time.Hour, ledger.FullAudit)
	run(newSchedule("b"), 2*time.Hour, ledger.FullAudit) // it cannot verify the signature

	b.damage(`UPDATE accounts SET held = held + 1 WHERE id = @alice`)
	fails := newSchedule("b")
	run(fails, 2*time.Hour, ledger.IncrementalAudit, "held")
	run(fails, 2*time.Hour+time.Minute, "") // no audit every minute
	run(fails, 4*time.Hour, ledger.IncrementalAudit, "held")

	// While another process audits, this one does not.
	conn := testkit.Connect(t, b.db.AppURL)
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock(hashtextextended('kizo audit', 0))`); err != nil {
		t.Fatal(err)
	}
	run(fails, 6*time.Hour, "")
}
