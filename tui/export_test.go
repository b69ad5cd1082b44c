package tui

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestExportHasNoFormulas: texts are no formulas, and amounts stay numbers.
func TestExportHasNoFormulas(t *testing.T) {
	var out bytes.Buffer
	w := writerOf(&out, "csv")
	for _, evil := range []string{"=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "'=1"} {
		transfer := client.Transfer{Id: *taskNumber(1).TransferId, Kind: client.TransferKindAuthorization, State: client.Posted, Direction: client.Out,
			Amount: 12_50, AuthorizedAmount: ptr[int64](30_00), ReversedAmount: ptr[int64](5_00), Currency: "USD", CreatedAt: noon,
			To: client.Party{Handle: ptr("bob"), Name: &evil}, Memo: &evil, Reason: &evil}
		testkit.Must(t, w.write(transfer))
	}
	testkit.Must(t, w.end())
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 8 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		for i, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("%s: %q is a formula", rows[0][i], cell)
			}
		}
	}
	if got := strings.Join(rows[1], ","); !strings.Contains(got, ",12.50,USD,bob,'=1+1,'=1+1,'=1+1,30.00,5.00") {
		t.Errorf("%s", got)
	}
	if rows[0][5] != "amount" || rows[0][11] != "authorized" {
		t.Errorf("%v", rows[0])
	}
}
