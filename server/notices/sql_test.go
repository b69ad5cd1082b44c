package notices_test

import (
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
)

func TestStatementsFitTheSchema(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	if found := testkit.PrepareStatements(t, testkit.Connect(t, h.db.AppURL), nil); found < 4 {
		t.Fatalf("only %d statements found", found)
	}
}
