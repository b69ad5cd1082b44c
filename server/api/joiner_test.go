package api_test

import (
	"testing"

	"github.com/JDevAman/kizo/openapi"
)

// TestMemosWithJoiners: memos in scripts that need joiners, or with emojis, are not changed.
func TestMemosWithJoiners(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	for _, memo := range []string{"می\u200cخواهم", "ئه\u200cم", "क्\u200dष", "👨\u200d👩\u200d👧\u200d👦", "👩\u200d❤\ufe0f\u200d👨"} {
		sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", memo)).want(201))
		if sent.Memo == nil || *sent.Memo != memo {
			t.Errorf("%+q came back as %v", memo, sent.Memo)
		}
	}
}
