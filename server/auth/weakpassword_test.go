package auth

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/server/problem"
)

func TestWeakPasswords(t *testing.T) {
	t.Parallel()
	user := User{Handle: "grace_hopper", Email: "grace.m@navy.example.com", Name: "Grace Hopper"}
	for password, want := range map[string]problem.Code{
		"1234567890": CodePasswordTooCommon, "password12": CodePasswordTooCommon, // accepted by an earlier version
		"Password12": CodePasswordTooCommon, "PASSWORD123!": CodePasswordTooCommon, "p@ssw0rd123": CodePasswordTooCommon,
		"Pass-word-12": CodePasswordTooCommon, "pa55word!!!!": CodePasswordTooCommon, "ｐａｓｓｗｏｒｄ１２": CodePasswordTooCommon,
		"123password": CodePasswordTooCommon, "password1234567890": CodePasswordTooCommon, "passwordpassword": CodePasswordTooCommon,
		"qwertyuiop": CodePasswordTooCommon, "qwerty12345": CodePasswordTooCommon, "Qwerty!@#$%": CodePasswordTooCommon,
		"1q2w3e4r5t": CodePasswordTooCommon, "1qaz2wsx3edc": CodePasswordTooCommon, "zaq1xsw2cde3": CodePasswordTooCommon,
		"asdfghjkl;'": CodePasswordTooCommon, "qwertzuiop": CodePasswordTooCommon, "azertyuiop": CodePasswordTooCommon,
		"abcdefghij": CodePasswordTooCommon, "zyxwvutsrq": CodePasswordTooCommon, "0987654321": CodePasswordTooCommon,
		"abcde12345": CodePasswordTooCommon, "1122334455": CodePasswordTooCommon, "aaaaaaaaaa": CodePasswordTooCommon,
		"abababababab": CodePasswordTooCommon, "abcabcabcabc": CodePasswordTooCommon, "lalalalalala": CodePasswordTooCommon,
		"02081985123": CodePasswordTooCommon, "89172735872": CodePasswordTooCommon, "michael1985": CodePasswordTooCommon,
		"liverpool1": CodePasswordTooCommon, "Welcome2024!": CodePasswordTooCommon, "Summer2026": CodePasswordTooCommon,
		"gfhjkmgfhjkm": CodePasswordTooCommon, "iloveyou123": CodePasswordTooCommon, "administrator": CodePasswordTooCommon,
		"letmein12345": CodePasswordTooCommon, "dragonball": CodePasswordTooCommon, "changeme2026": CodePasswordTooCommon,

		"grace_hopper1": CodePasswordPersonal, "GraceHopper1!": CodePasswordPersonal, "grace.m@navy.example.com": CodePasswordPersonal,
		"navy-grace-1": CodePasswordPersonal, "navy.hopper.1": CodePasswordPersonal, "Grace-password": CodePasswordPersonal,
		"example.com1": CodePasswordPersonal,

		goodPassword: "", "zebra violin quantum": "", "grace sails on tuesdays at nine": "", "kT9#vLq2!xZw": "",
		"mein altes Fahrrad": "", "пароль из четырёх слов": "", "合言葉は四つの言葉": "", "9471038265110384": "",
	} {
		got := problem.Code("")
		if err := checkPasswordStrength(password, user); err != nil {
			got = problem.CodeOf(err)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", password, got, want)
		}
	}
}

// TestCommonPasswordsAreRefused: every entry of the list is refused, in its own form and in
// capitals.
func TestCommonPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	set, long := commonPasswords(), 0
	for entry := range set {
		if len(entry) < MinPasswordBytes {
			entry += strings.Repeat("7", MinPasswordBytes-len(entry))
		} else {
			long++
		}
		for _, spelling := range []string{entry, strings.ToUpper(entry)} {
			wantCode(t, checkPasswordStrength(spelling, User{}), CodePasswordTooCommon)
		}
	}
	if len(set) < 5000 || long < 1000 {
		t.Errorf("%d entries, %d of them long", len(set), long)
	}
}

// TestSignUpRefusesWeakPasswords: a weak password is refused before any hash or insert.
func TestSignUpRefusesWeakPasswords(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for password, want := range map[string]problem.Code{"1234567890": CodePasswordTooCommon, "alice-alice-1": CodePasswordPersonal} {
		_, _, err := h.SignUp(t.Context(), SignUpInput{Email: "alice@example.com", Handle: "alice", Name: "Alice", Password: password})
		wantCode(t, err, want)
	}
}
