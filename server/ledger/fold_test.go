package ledger_test

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/server/ledger"
)

// TestSearchFoldsMemos: a search for a memo ignores case and normalization form.
func TestSearchFoldsMemos(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(100_00), h.user(0)
	for _, memo := range []string{"Für Ünal", "fu\u0308r U\u0308", "İstanbul", "Große Straße", "ΟΔΥΣΣΕΥΣ", "Lunch", "ＬＵＮＣＨ", strings.Repeat("\uFDFA", ledger.MaxMemo)} {
		o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1), Memo: memo}
		if _, err := h.Transfer(t.Context(), o); err != nil {
			t.Fatalf("%q: %v", memo, err)
		}
	}
	for q, want := range map[string]int{
		"ü": 2, "Ü": 2, "u\u0308": 2, "U\u0308": 2, "FÜR ü": 2, "İST": 1, "ist": 1, "strasse": 1, "GROSSE": 1, "große": 1, "ß": 1, "οδυσσευς": 1,
		"lunch": 2, "LUNCH": 2, "\uFDFA": 1, "fur": 0, "\u200d": 0,
	} {
		page, err := h.List(t.Context(), alice, ledger.Query{Memo: q, Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Transfers) != want {
			t.Errorf("%+q finds %d, want %d", q, len(page.Transfers), want)
		}
	}
}
