package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMisplacedJoiner(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{
		"no joiner": "lunch", "empty": "", "Persian": "می\u200cخواهم", "Persian plural": "کتاب\u200cها", "with a mark": "مِی\u200cخواهم",
		"Kurdish": "ئه\u200cم", "Devanagari conjunct": "क्\u200dष", "Devanagari halant": "क्\u200cष", "Bengali": "র\u09cd\u200dয",
		"Malayalam chillu at the end": "ന്\u200d", "Sinhala": "ක්\u200dෂ", "Kannada": "ರ್\u200cಕ",
		"family": "👨\u200d👩\u200d👧\u200d👦", "heart": "👩\u200d❤\ufe0f\u200d👨", "skin tones": "👩🏽\u200d🚀", "rainbow flag": "🏳\ufe0f\u200d🌈",
		"woman shrugging": "🤷🏿\u200d♀\ufe0f", "text around": "for 👨\u200d👩\u200d👧, می\u200cخواهم!", "broken chain": "⛓\ufe0f\u200d💥",
	} {
		if r, bad := MisplacedJoiner(text); bad {
			t.Errorf("%s: U+%04X of %+q is refused", what, r, text)
		}
	}
	for what, text := range map[string]string{
		"alone": "\u200d", "non-joiner alone": "\u200c", "Latin": "a\u200db", "Latin non-joiner": "a\u200cb", "Kizo": "Ki\u200dzo",
		"at the beginning": "\u200cمن", "at the end": "من\u200c", "doubled": "می\u200c\u200cخواهم", "doubled joiner": "👨\u200d\u200d👩",
		"before a blank": "می\u200c خواهم", "Arabic joiner": "م\u200dن", "Cyrillic": "д\u200cд", "Chinese": "山\u200d田",
		"emoji and letter": "👨\u200da", "letter and emoji": "a\u200d👨", "emoji at the end": "👨\u200d", "digits": "1\u200d2",
		"flag letters": "🇩\u200d🇪", "non-joiner in an emoji": "👨\u200c👩", "after a vowel sign": "कि\u200dष", "before a mark": "می\u200c\u064eخ",
		"Latin after a virama's script": "ab\u200cष", "tower of marks": "م" + strings.Repeat("\u064e", 9) + "\u200cن",
		"a crowd": strings.Repeat("👨\u200d", 9) + "👨", "direction": "\u202e\u200d",
	} {
		if _, bad := MisplacedJoiner(text); !bad {
			t.Errorf("%s: %+q is allowed", what, text)
		}
	}
}

// Text after the next character does not change whether a joiner is allowed.
func FuzzMisplacedJoiner(f *testing.F) {
	f.Add("می\u200cخواهم")
	f.Add("👨\u200d👩\u200d👧")
	f.Add("\xff\u200d\xff")
	f.Fuzz(func(t *testing.T, text string) {
		if _, bad := MisplacedJoiner(text); bad || !utf8.ValidString(text) {
			return
		}
		if _, bad := MisplacedJoiner(text + " x"); bad {
			t.Errorf("%+q is allowed, but not with a blank after it", text)
		}
	})
}
