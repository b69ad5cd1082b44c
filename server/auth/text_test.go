package auth

import (
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/internal/text"
)

func TestNormalEmail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a@b.co": "a@b.co", "A.B+c@Sub.Example.COM": "a.b+c@sub.example.com", " a@b.co\n": "a@b.co",
		"x@xn--bcher-kva.example":                "x@xn--bcher-kva.example",
		strings.Repeat("a", 64) + "@example.com": strings.Repeat("a", 64) + "@example.com",
		"":                                       "", "a": "", "@b.co": "", "a@": "", "a@b": "", "a@@b.co": "", "a b@c.co": "", "a@b..co": "", "a@-b.co": "",
		"a@b.co, c@d.co": "", "a@b.co\x00": "", "a\r\nBcc: x@b.co": "", "ü@b.co": "", "a@bü.co": "", "\u212a@b.co": "", "a@[127.0.0.1]": "", `"a b"@c.co`: "",
		strings.Repeat("a", 65) + "@example.com": "", "a@" + strings.Repeat("b.", 130) + "co": "",
	} {
		got, err := normalEmail(text)
		testkit.Equal(t, text, got, want)
		if want == "" {
			wantCode(t, err, CodeEmailMalformed)
		}
	}
}

func TestNormalHandle(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"al": "al", "@Al_9": "al_9", " @al ": "al", strings.Repeat("a", 30): strings.Repeat("a", 30),
		"": "", "a": "", "@": "", "@@al": "", "9al": "", "_al": "", "al-b": "", "al b": "", "al.b": "", "álvaro": "", "\u212aim": "", "al\n": "al", "al\nb": "",
		strings.Repeat("a", 31): "",
	} {
		got, err := normalHandle(text)
		testkit.Equal(t, text, got, want)
		if want == "" {
			wantCode(t, err, CodeHandleMalformed)
		}
	}
}

func TestNormalName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Bo": "Bo", " Bo  Li ": "Bo  Li", "李小龍": "李小龍", "O'Brien, Jr.": "O'Brien, Jr.", "Ñandú 🙂": "Ñandú 🙂", "e\u0301": "e\u0301",
		"می\u200cخواهم": "می\u200cخواهم", "ක්\u200dෂමා": "ක්\u200dෂමා", "Li 👨\u200d👩\u200d👧": "Li 👨\u200d👩\u200d👧", "👩\u200d❤\ufe0f\u200d👨": "👩\u200d❤\ufe0f\u200d👨", "❤\ufe0f": "❤\ufe0f",
		"ab\u200cc": "", "من\u200c": "", "👨\u200d": "", "👨\u200dKizo": "", "می\u200c\u200cخواهم": "",
		strings.Repeat("é", 80): strings.Repeat("é", 80),
		"":                      "", "   ": "", strings.Repeat("x", 81): "", "a\nb": "", "a\tb": "", "a\x00b": "", "a\x1b[2Jb": "", "a\u009bb": "", "a\xffb": "", "a\ufffdb": "",
		"a\u202eb": "", "a\u2066b": "", "a\u200fb": "", "a\u200bb": "", "a\u200db": "", "\ufeffa": "", "a\u00adb": "", "a\u2028b": "",
		"a\u00a0b": "", "\u3164": "", "\u2800": "", "a\ufe0fb": "", "a\U000e0041b": "", "a\u034fb": "", "\u115f\u1160": "", "a\ue000b": "",
	} {
		got, err := normalName(text)
		testkit.Equal(t, text, got, want)
		if want == "" {
			wantCode(t, err, CodeNameMalformed)
		}
	}
}

// The table accepts every name that normalName accepts.
func FuzzNormalName(f *testing.F) {
	f.Add("Bo Li")
	f.Add("\u202e\x1b]0;x\x07")
	f.Fuzz(func(t *testing.T, input string) {
		name, err := normalName(input)
		if err != nil {
			return
		}
		if !text.Visible(name) || name != strings.TrimSpace(name) || len([]rune(name)) > maxNameRunes {
			t.Fatalf("%q was accepted as %q", input, name)
		}
	})
}

// TestNamesWithJoinersAreStored: the table accepts a name with joiners, in every locale that tests
// run with.
func TestNamesWithJoinersAreStored(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	for _, name := range []string{"می\u200cخواهم", "ක්\u200dෂමා", "Li 👨\u200d👩\u200d👧"} {
		user, err := h.rename(alice.ID, name)
		testkit.Must(t, err)
		testkit.Equal(t, "name", user.Name, name)
	}
}
