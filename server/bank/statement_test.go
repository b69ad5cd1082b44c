package bank_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/server/bank"
)

// A page whose lines are not in ascending order after the cursor is an error.
func TestStatementIsAscending(t *testing.T) {
	entry := func(seq int) string {
		return fmt.Sprintf(`{"seq":%d,"ref":"r%d","bank_ref":"b%d","direction":"deposit","amount":5,`+
			`"currency":"USD","status":"executed","at":"2026-01-02T03:04:05Z"}`, seq, seq, seq)
	}
	page := func(next int, seqs ...int) string {
		var lines []string
		for _, s := range seqs {
			lines = append(lines, entry(s))
		}
		return fmt.Sprintf(`{"entries":[%s],"next":%d}`, strings.Join(lines, ","), next)
	}
	for name, tc := range map[string]struct {
		body string
		good bool
	}{
		"two":               {page(5, 4, 5), true},
		"none":              {page(3), true},
		"repeats":           {page(5, 5, 5), false},
		"goes back":         {page(4, 5, 4), false},
		"not after":         {page(3, 3), false},
		"next jumps":        {page(9, 4, 5), false},
		"next is too small": {page(3, 4, 5), false},
		"too many":          {page(6, 4, 5, 6), false},
		"no entries":        {`{"next":3}`, false},
		"bad entry":         {`{"entries":[{}],"next":4}`, false},
	} {
		c := client(t, serve(t, says(200, tc.body)), 0)
		got, err := c.Statement(t.Context(), 3, 2)
		if tc.good != (err == nil) || (!tc.good && !errors.Is(err, bank.CodeUnreadable)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	c := client(t, serve(t, says(502, "")), 0)
	if _, err := c.Statement(t.Context(), 0, 2); !errors.Is(err, bank.CodeHTTPStatus) {
		t.Errorf("502: %v", err)
	}
	if _, err := c.Statement(t.Context(), 0, bank.MaxPageSize+1); bank.CodeOf(err) != bank.CodeInvalid {
		t.Errorf("page too large: %v", err)
	}
}
