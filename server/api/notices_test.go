package api_test

import (
	"fmt"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

func (h *fixture) notices(u *user, query string) openapi.NoticeList {
	h.t.Helper()
	return read[openapi.NoticeList](h.get(u, "/v1/notices"+query).want(200))
}

// TestNotices: an operator's acts and a new device are in the inbox, with what to do; pages have
// each notice once; a notice that was read stays so, and cannot be read by another user.
func TestNotices(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob, olga := h.signUp("alice"), h.signUp("bob"), h.signUp("olga")
	h.grant("olga", auth.RoleOperator)
	testkit.Equal(t, "a new account", fmt.Sprint(h.notices(alice, "")), fmt.Sprint(openapi.NoticeList{Items: []openapi.Notice{}}))
	_, _, err := h.auth.LogIn(t.Context(), "alice", password, "", auth.Client{UserAgent: "kizo/1\x1b[2J\n", Address: "203.0.113.9"})
	testkit.Must(t, err)
	h.post(olga, "/v1/ops/users/alice/freeze", reason).want(204)
	h.post(olga, "/v1/ops/users/alice/unfreeze", reason).want(204)
	h.post(alice, "/v1/me/freeze", nil).want(204)

	all := h.notices(alice, "")
	kinds := ""
	for _, n := range all.Items {
		kinds += n.Kind + " "
		if n.Read || n.Title == "" || n.Advice == "" {
			t.Errorf("notice %+v", n)
		}
	}
	testkit.Equal(t, "kinds", kinds, "frozen unfrozen frozen new_device ")
	device := all.Items[3]
	testkit.Equal(t, "the device", *device.Client+" "+*device.Address, "kizo/1[2J 203.0.113.9")
	testkit.Contains(t, device.Advice, "kizo freeze-me")

	first := h.notices(alice, "?limit=3")
	second := h.notices(alice, "?limit=3&cursor="+*first.NextCursor)
	testkit.Equal(t, "pages", fmt.Sprint(len(first.Items), len(second.Items), second.NextCursor == nil, second.Items[0].Id == device.Id), "3 1 true true")

	mark := func(u *user, ids ...int64) string {
		marked := read[openapi.NoticesMarked](h.post(u, "/v1/notices/read", fields{"ids": ids}).want(200))
		return fmt.Sprint(marked.Found, " ", marked.Unread)
	}
	testkit.Equal(t, "by another user", mark(bob, device.Id), "0 0")
	testkit.Equal(t, "still unread", h.notices(alice, "?unread=true").Unread, 4)
	testkit.Equal(t, "by their user", mark(alice, device.Id, all.Items[0].Id), "2 2")
	testkit.Equal(t, "again", mark(alice, device.Id), "1 2")
	testkit.Equal(t, "unread", len(h.notices(alice, "?unread=true").Items), 2)
	testkit.Equal(t, "read", h.notices(alice, "").Items[3].Read, true)
	testkit.Equal(t, "of another user", len(h.notices(bob, "").Items), 0)

	for _, query := range []string{"?cursor=x", "?cursor=LTE", "?cursor=" + *first.NextCursor + "AA"} {
		h.get(alice, "/v1/notices"+query).wantProblem(openapi.ProblemCode(ledger.CursorMalformed))
	}
	h.get(alice, "/v1/notices?limit=101").wantProblem(openapi.ParameterMalformed)
	for _, ids := range [][]int64{{}, make([]int64, 101)} {
		h.post(alice, "/v1/notices/read", fields{"ids": ids}).wantProblem(openapi.BodyMalformed)
	}
}
