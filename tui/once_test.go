package tui

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/tui/printable"
)

// TestASnapshotIsPlain: what others wrote gives the terminal no orders, and nothing but lines is printed.
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
