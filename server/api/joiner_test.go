package api_test

import (
	"testing"

	"github.com/JDevAman/kizo/openapi"
)

// A memo in a script that needs joiners, or with an emoji that does, comes back as it was.
func TestMemosWithJoiners(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1000)
	for _, memo := range []string{"می\u200cخواهم", "ئه\u200cم", "क्\u200dष", "👨\u200d👩\u200d👧\u200d👦", "👩\u200d❤\ufe0f\u200d👨"} {
		sent := read[openapi.Transfer](h.post(alice, "/v1/transfers", pay(bob, 1).with("memo", memo)).want(201))
		if sent.Memo == nil || *sent.Memo != memo {
			t.Errorf("%+q came back as %v", memo, sent.Memo)
		}
	}
}
