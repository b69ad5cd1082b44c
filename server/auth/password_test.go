package auth

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// TestArgon2Vector uses a test vector of the reference implementation (phc-winner-argon2,
// src/test.c).
func TestArgon2Vector(t *testing.T) {
	t.Parallel()
	const text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc"
	h, err := parsePHC(text)
	testkit.Must(t, err)
	testkit.Equal(t, "params", h.params, Argon2Params{MemoryKiB: 65536, Time: 2, Threads: 1})
	testkit.Equal(t, "salt", string(h.salt), "somesalt")
	digest, err := InProcess{}.Hash(HashJob{Params: h.params, Input: []byte("password"), Salt: h.salt, Length: len(h.digest)})
	testkit.Must(t, err)
	testkit.Equal(t, "digest", hex.EncodeToString(digest), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7")
	testkit.Equal(t, "text", h.String(), text)
}

// TestPepperVector is test case 2 of RFC 4231.
func TestPepperVector(t *testing.T) {
	t.Parallel()
	mac := Pepper{ID: "p", Key: NewSecret([]byte("Jefe"))}.mac("what do ya want for nothing?")
	testkit.Equal(t, "mac", hex.EncodeToString(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
}

func TestParsePHCRefuses(t *testing.T) {
	t.Parallel()
	const salt, digest = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHApl8ArZWb2GRPPc"
	for name, text := range map[string]string{
		"empty":           "",
		"argon2i":         "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + digest,
		"old version":     "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + digest,
		"16 GiB":          "$argon2id$v=19$m=16777216,t=1,p=1$" + salt + "$" + digest,
		"no threads":      "$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + digest,
		"256 threads":     "$argon2id$v=19$m=64,t=1,p=256$" + salt + "$" + digest,
		"no passes":       "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + digest,
		"endless":         "$argon2id$v=19$m=64,t=4000000000,p=1$" + salt + "$" + digest,
		"trailing params": "$argon2id$v=19$m=64,t=1,p=1,x=2$" + salt + "$" + digest,
		"leading zero":    "$argon2id$v=19$m=064,t=1,p=1$" + salt + "$" + digest,
		"short salt":      "$argon2id$v=19$m=64,t=1,p=1$c29t$" + digest,
		"padded":          "$argon2id$v=19$m=64,t=1,p=1$" + salt + "=$" + digest,
		"short digest":    "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$CTFhFdXP",
		"extra field":     "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + digest + "$",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parsePHC(text)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), digest) {
				t.Error("the error quotes the hash")
			}
		})
	}
}

func TestEveryByteOfPasswordCounts(t *testing.T) {
	t.Parallel()
	p := newPasswords(testPeppers(t, "p1"), cheap)
	ticket, err := newHarness(t).hashQueue.enter()
	testkit.Must(t, err)
	defer ticket.leave()
	long := strings.Repeat("é", MaxPasswordBytes/2)
	testkit.Must(t, checkPassword(long))
	stored, err := p.hash(t.Context(), ticket, "a@example.com", long)
	testkit.Must(t, err)
	for _, near := range []string{long[:len(long)-2] + "è", long[:64], long[:72], long + "x"} {
		ok, _, err := p.matches(t.Context(), ticket, stored, "a@example.com", near)
		testkit.Must(t, err)
		testkit.Equal(t, "near miss", ok, false)
	}
	ok, stale, err := p.matches(t.Context(), ticket, stored, "a@example.com", long)
	testkit.Must(t, err)
	testkit.Equal(t, "the whole password", ok, true)
	testkit.Equal(t, "stale", stale, false)
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]problem.Code{
		"":                        CodePasswordTooShort,
		"123456789":               CodePasswordTooShort,
		"1234567890":              "",
		strings.Repeat("x", 64):   "",
		strings.Repeat("x", 256):  "",
		strings.Repeat("x", 257):  CodePasswordTooLong,
		"not \xff UTF-8 at all":   CodePasswordMalformed,
		"пароль из слов":          "",
		"with \x00 NUL and space": "",
	} {
		wantCode(t, checkPassword(password), want)
	}
}

// TestLogInRehashes: a log-in after the parameters or the pepper have changed replaces the stored
// hash. Until then the old hash still verifies, and afterwards the old pepper is not needed.
func TestLogInRehashes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	costlier := Argon2Params{MemoryKiB: 64, Time: 2, Threads: 1}
	for name, moved := range map[string]struct {
		params Argon2Params
		now    []string // peppers, the current one first
		later  []string
		phc    string
	}{
		"nothing":    {cheap, []string{"p1"}, []string{"p1"}, ""},
		"parameters": {costlier, []string{"p1"}, []string{"p1"}, "$argon2id$v=19$m=64,t=2,p=1$"},
		"pepper":     {cheap, []string{"p2", "p1"}, []string{"p2"}, "$argon2id$v=19$m=8,t=1,p=1$"},
		"both":       {costlier, []string{"p2", "p1"}, []string{"p2"}, "$argon2id$v=19$m=64,t=2,p=1$"},
	} {
		t.Run(name, func(t *testing.T) {
			_, user := h.signUp("moved_" + name)
			stored := func() (s storedPassword) {
				h.scan("SELECT password_hash, pepper_id FROM users WHERE id = $1", user.ID, &s.phc, &s.pepperID)
				return s
			}
			before := stored()
			under := h.another(func(c *Config) { c.Params, c.Peppers = moved.params, testPeppers(t, moved.now...) })
			_, _, err := under.LogIn(t.Context(), user.Handle, "wrong password", "", Client{})
			wantCode(t, err, CodeInvalidCredentials)
			testkit.Equal(t, "after a wrong password", stored(), before)

			_, _, err = under.LogIn(t.Context(), user.Handle, goodPassword, "", Client{})
			testkit.Must(t, err)
			after := stored()
			testkit.Equal(t, "rehashed", after != before, moved.phc != "")
			testkit.Equal(t, "pepper", after.pepperID, moved.now[0])
			if !strings.HasPrefix(after.phc, moved.phc) {
				t.Errorf("stored as %s", after.phc)
			}

			settled := h.another(func(c *Config) { c.Params, c.Peppers = moved.params, testPeppers(t, moved.later...) })
			_, _, err = settled.LogIn(t.Context(), user.Handle, goodPassword, "", Client{})
			testkit.Must(t, err)
			testkit.Equal(t, "after a second log-in", stored(), after)
		})
	}
}

// TestMissingPepperIsNoWrongPassword: a pepper that is missing from the secrets file is an internal
// failure, and must not be reported as a wrong password.
func TestMissingPepperIsNoWrongPassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	other := h.another(func(c *Config) { c.Peppers = testPeppers(t, "p9") })
	_, _, err := other.LogIn(t.Context(), "alice", goodPassword, "", Client{})
	if err == nil || problem.CodeOf(err) != "" {
		t.Fatalf("got %v", err)
	}
}

// TestUnknownUserCostsSameAsWrongPassword counts the hashes, since durations on a busy machine show
// nothing.
func TestUnknownUserCostsSameAsWrongPassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	var work []Argon2Params
	h.hashQueue.hashing = func(p Argon2Params) { work = append(work, p) }
	var messages []string
	for _, who := range []string{"alice", "@alice", "alice@example.com", "unknown", "unknown@example.com", "no such form!", "", "a\x00b"} {
		work = nil
		_, _, err := h.LogIn(t.Context(), who, "wrong password", "", Client{})
		wantCode(t, err, CodeInvalidCredentials)
		messages = append(messages, err.Error())
		want := []Argon2Params{cheap}
		if parseLogin(who).email != "" { // before the hash it is unknown which user of the address it is
			want = append(want, cheap)
		}
		if !slices.Equal(work, want) {
			t.Errorf("%q: hashed %v, want %v", who, work, want)
		}
	}
	for _, message := range messages {
		testkit.Equal(t, "message", message, messages[0])
	}
	work = nil
	_, _, err := h.LogIn(t.Context(), "alice", strings.Repeat("x", MaxPasswordBytes+1), "", Client{})
	wantCode(t, err, CodeInvalidCredentials)
	testkit.Equal(t, "hashes for an oversized password", len(work), 0)
}
