package auth

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

func TestSignUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user, err := h.SignUp(t.Context(), SignUpInput{
		Email: " Alice@Example.COM ", Handle: "@Alice_1", Name: " Alice Ünal ", Password: goodPassword,
	})
	testkit.Must(t, err)
	want := User{
		ID: user.ID, Email: "alice@example.com", Handle: "alice_1", Name: "Alice Ünal",
		Role: RoleUser, Status: StatusActive, CreatedAt: h.clock.Now(), FindableByEmail: true,
	}
	testkit.Equal(t, "user", user, want)
	testkit.Equal(t, "id version", uuid.UUID(user.ID).Version(), uuid.Version(7))
	testkit.Equal(t, "access token", h.refusal(tokens.AccessToken), "")
	me, err := h.Me(t.Context(), user.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "me", me, want)
	_, err = h.Me(t.Context(), unknownID)
	wantCode(t, err, CodeUserNotFound)
	for _, who := range []string{"alice_1", "@alice_1", "ALICE_1", "alice@example.com", "ALICE@EXAMPLE.COM"} {
		testkit.Equal(t, who, h.refusal(h.logIn(who).AccessToken), "")
	}
}

func TestSignUpRefuses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	good := SignUpInput{Email: "bob@example.com", Handle: "bob", Name: "Bob", Password: goodPassword}
	for name, c := range map[string]struct {
		change func(*SignUpInput)
		code   problem.Code
		field  string
	}{
		"taken handle":    {func(in *SignUpInput) { in.Handle = "@ALICE" }, CodeHandleTaken, "handle"},
		"bad address":     {func(in *SignUpInput) { in.Email = "bob" }, CodeEmailMalformed, "email"},
		"bad handle":      {func(in *SignUpInput) { in.Handle = "1bob" }, CodeHandleMalformed, "handle"},
		"bad name":        {func(in *SignUpInput) { in.Name = "\x1b[31mBob" }, CodeNameMalformed, "name"},
		"short password":  {func(in *SignUpInput) { in.Password = "short" }, CodePasswordTooShort, "password"},
		"long password":   {func(in *SignUpInput) { in.Password = strings.Repeat("x", 257) }, CodePasswordTooLong, "password"},
		"broken password": {func(in *SignUpInput) { in.Password = "0123456789\xff" }, CodePasswordMalformed, "password"},
	} {
		t.Run(name, func(t *testing.T) {
			in := good
			c.change(&in)
			_, _, err := h.SignUp(t.Context(), in)
			wantCode(t, err, c.code)
			if refusal, ok := errors.AsType[*problem.Error](err); ok {
				testkit.Equal(t, "field", refusal.Field, c.field)
			}
		})
	}
	_, _, err := h.SignUp(t.Context(), good) // the refused requests have stored nothing
	testkit.Must(t, err)
}

// TestSignUpConcurrently: of twenty concurrent users with one handle, one gets it, and the others
// get handle_taken.
func TestSignUpConcurrently(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	codes, all := make(chan problem.Code, 20), sync.WaitGroup{}
	for i := range 20 {
		all.Go(func() {
			_, _, err := h.SignUp(t.Context(), SignUpInput{
				Email: strings.Repeat("x", i+1) + "@example.com", Handle: "wanted", Name: "X", Password: goodPassword,
			})
			if err != nil && problem.CodeOf(err) == "" {
				t.Error(err)
			}
			codes <- problem.CodeOf(err)
		})
	}
	all.Wait()
	close(codes)
	count := map[problem.Code]int{}
	for c := range codes {
		count[c]++
	}
	testkit.Equal(t, "successes", count[""], 1)
	testkit.Equal(t, "refusals", count[CodeHandleTaken], 19)
}

func TestRename(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, user := h.signUp("alice")
	h.clock.Advance(time.Hour)
	renamed, err := h.rename(user.ID, "  Zoë Ünal ")
	testkit.Must(t, err)
	testkit.Equal(t, "name", renamed.Name, "Zoë Ünal")
	found, err := h.SearchUsers(t.Context(), "ZOË ü", 5)
	testkit.Must(t, err)
	testkit.Equal(t, "found by the new name", len(found), 1)
	_, err = h.rename(user.ID, "a\u202eb")
	wantCode(t, err, CodeNameMalformed)
	_, err = h.rename(unknownID, "Unknown")
	wantCode(t, err, CodeUserNotFound)
}

func TestSuspendUnknownUser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	wantCode(t, h.Suspend(t.Context(), unknownID, "x"), CodeUserNotFound)
	wantCode(t, h.Reinstate(t.Context(), unknownID, "x"), CodeUserNotFound)
	_, user := h.signUp("alice")
	testkit.Must(t, h.Suspend(t.Context(), user.ID, "\x1b[2J"+strings.Repeat("é", 5000)))
	var reason string
	h.scan("SELECT status_reason FROM users WHERE id = $1", user.ID, &reason)
	testkit.Equal(t, "reason", reason, "[2J"+strings.Repeat("é", 197))
}

func TestFindUser(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	h.verify("alice")
	testkit.Must(t, h.Suspend(t.Context(), bob.ID, "x"))
	for who, want := range map[string]UserRef{
		"alice":             {alice.ID, "alice", alice.Name, StatusActive, RoleUser, true},
		"@ALICE":            {alice.ID, "alice", alice.Name, StatusActive, RoleUser, true},
		"Alice@Example.com": {alice.ID, "alice", alice.Name, StatusActive, RoleUser, true},
		"@bob":              {bob.ID, "bob", bob.Name, StatusSuspended, RoleUser, true},
	} {
		got, err := h.FindUser(t.Context(), who)
		testkit.Must(t, err)
		testkit.Equal(t, who, got, want)
	}
	for _, who := range []string{"", "@", "carol", "@@alice", "alice%", "a\x00", "\xff", "' OR 1=1 --", alice.ID.String()} {
		_, err := h.FindUser(t.Context(), who)
		wantCode(t, err, CodeUserNotFound)
	}
}

func TestUsersByID(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	got, err := h.UsersByID(t.Context(), []UserID{alice.ID, unknownID, bob.ID, alice.ID})
	testkit.Must(t, err)
	testkit.Equal(t, "found", len(got), 2)
	testkit.Equal(t, "alice", got[alice.ID], UserRef{alice.ID, "alice", alice.Name, StatusActive, RoleUser, true})
	none, err := h.UsersByID(t.Context(), nil)
	testkit.Must(t, err)
	testkit.Equal(t, "none", len(none), 0)
	if _, err := h.UsersByID(t.Context(), make([]UserID, maxUsersByID+1)); err == nil {
		t.Error("more ids than the maximum were accepted")
	}
}

func TestSearchUsers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for handle, name := range map[string]string{
		"ann": "Ann Lee", "anna_b": "Bea Ann", "zed": "Anna 100% Zed", "bob_x": "Bob_X", "bobyx": "Bob", "gone": "Anna Gone", "elif": "Çağla",
	} {
		_, user := h.signUp(handle)
		_, err := h.rename(user.ID, name)
		testkit.Must(t, err)
		if handle == "gone" {
			testkit.Must(t, h.Suspend(t.Context(), user.ID, "x"))
		}
	}
	for prefix, want := range map[string]string{
		"ann": "ann anna_b zed", "@ANN": "ann anna_b zed", "anna ": "anna_b zed", "anna 1": "zed", "anna 100%": "zed",
		"bob_": "bob_x", "bo%": "", "%": "", "_": "", `\`: "", "bob": "bob_x bobyx", "çağ": "elif", "ÇAĞ": "elif",
		"lee": "", "gone": "", "anna g": "", "\xff": "", "a\x00": "", "'": "", "\u202e": "", strings.Repeat("a", 81): "",
	} {
		found, err := h.SearchUsers(t.Context(), prefix, 10)
		testkit.Must(t, err)
		var handles []string
		for _, ref := range found {
			handles = append(handles, ref.Handle)
		}
		testkit.Equal(t, "prefix "+prefix, strings.Join(handles, " "), want)
	}
	for limit, want := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2} {
		found, err := h.SearchUsers(t.Context(), "ann", limit)
		testkit.Must(t, err)
		testkit.Equal(t, "limit", len(found), want)
	}
}

// TestSearchFoldsNames: a search for a name ignores case and normalization form.
func TestSearchFoldsNames(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for handle, name := range map[string]string{
		"a1": "Ünal", "a2": "U\u0308nal", "a3": "İstanbul", "a4": "Straßer", "a5": "ΟΔΥΣΣΕΥΣ", "a6": "می\u200cخواهم", "a7": "ｆｕｌｌ",
	} {
		_, user := h.signUp(handle)
		_, err := h.rename(user.ID, name)
		testkit.Must(t, err)
	}
	for prefix, want := range map[string]string{
		"ü": "a1 a2", "Ü": "a1 a2", "u\u0308": "a1 a2", "ÜNA": "a1 a2", "ist": "a3", "İST": "a3", "IST": "a3", "strass": "a4", "STRASSE": "a4", "straß": "a4",
		"οδυσσευς": "a5", "می\u200cخ": "a6", "می\u200c": "a6", "میخ": "a6", "full": "a7", "FULL": "a7", "unal": "",
	} {
		found, err := h.SearchUsers(t.Context(), prefix, 10)
		testkit.Must(t, err)
		var handles []string
		for _, ref := range found {
			handles = append(handles, ref.Handle)
		}
		testkit.Equal(t, prefix, strings.Join(handles, " "), want)
	}
	// The longest folded name fits into the index.
	_, user := h.signUp("long")
	_, err := h.rename(user.ID, strings.Repeat("\uFDFA", 80))
	testkit.Must(t, err)
	found, err := h.SearchUsers(t.Context(), strings.Repeat("\uFDFA", 80), 10)
	testkit.Must(t, err)
	testkit.Equal(t, "found", len(found), 1)
}

// TestSearchIsBoundedAndHidesEmailAddresses: a search returns at most ten users, and never an
// e-mail address.
func TestSearchIsBoundedAndHidesEmailAddresses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, last := range "abcdefghijkl" {
		h.signUp("sam_" + string(last))
	}
	found, err := h.SearchUsers(t.Context(), "sam", 1000)
	testkit.Must(t, err)
	testkit.Equal(t, "found", len(found), 10)
	for _, prefix := range []string{"", "  ", "@", "sam_a@example", "example.com"} {
		found, err := h.SearchUsers(t.Context(), prefix, 10)
		testkit.Must(t, err)
		if len(found) != 0 {
			t.Errorf("prefix %q found %v", prefix, found)
		}
	}
	for _, ref := range found {
		if strings.Contains(ref.Name+ref.Handle, "example.com") {
			t.Errorf("%v contains an address", ref)
		}
	}
}
