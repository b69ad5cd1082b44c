package tui

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestASnapshotIsPlain: untrusted text contains no control sequences, and only plain lines are
// printed.
func TestASnapshotIsPlain(t *testing.T) {
	evil := "\x1b]52;c;aGk=\x07\u202e\u200b\nsecond line"
	ops := snapshotAt(59)
	(*ops.Queues)[0].Name, ops.BankBreaker = evil, &evil
	s := Snapshot{At: noon, Server: "http://127.0.0.1:7420", User: Person{Handle: "ada", Name: evil, Role: "operator"}, Ops: &ops}
	s.Wallets = []client.WalletSummary{{Wallet: client.Wallet{Currency: "USD", Balance: 87_50, Held: 2_00, Available: 85_50, Status: client.Frozen}, Month: client.MonthTotals{In: ptr[int64](100_00), Out: ptr[int64](12_50)}}}
	s.Recent = []client.Transfer{
		{Id: *taskNumber(1).TransferId, Kind: client.TransferKindTransfer, State: client.Posted, Amount: 12_50, Currency: "USD", Direction: client.In, From: client.Party{Handle: &evil}, Memo: &evil, CreatedAt: noon},
		{Id: *taskNumber(2).TransferId, Kind: client.TransferKindWithdrawal, State: client.Refused, Amount: 1, Currency: "USD", Direction: client.Out, To: client.Party{Bank: ptr(true)}, Reason: &evil, CreatedAt: noon},
	}
	text := s.Text()
	for line := range strings.SplitSeq(text, "\n") {
		if printable.Text(line) != line || strings.HasPrefix(line, "second") {
			t.Errorf("%q", line)
		}
	}
	golden(t, "once", strings.TrimSuffix(text, "\n"))
}

// monthServer records the requests of a snapshot.
type monthServer struct{ asked time.Time }

func (m *monthServer) Server() string                          { return "http://127.0.0.1:7420" }
func (m *monthServer) Me(context.Context) (client.User, error) { return ada(), nil }

func (m *monthServer) Summary(_ context.Context, monthStart time.Time) (client.Summary, error) {
	m.asked = monthStart
	return client.Summary{}, nil
}

func (m *monthServer) Events(context.Context, client.EventOptions) (*client.EventStream, error) {
	return nil, errors.New("no stream")
}

// TestMonthTotalsBeginWithTheLocalMonth, also if its first day has no midnight.
func TestMonthTotalsBeginWithTheLocalMonth(t *testing.T) {
	for zone, want := range map[string]string{"America/Havana": "2012-04-01T05:00:00Z", "Pacific/Apia": "2012-03-31T10:00:00Z", "UTC": "2012-04-01T00:00:00Z"} {
		location, err := time.LoadLocation(zone)
		testkit.Must(t, err)
		var server monthServer
		if _, err := TakeSnapshot(t.Context(), &server, time.Date(2012, 4, 15, 12, 0, 0, 0, location)); err != nil {
			t.Fatal(err)
		}
		if got := server.asked.UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", zone, got, want)
		}
	}
}
