package manual

import (
	"strings"
	"testing"
)

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		".profile":               `\&.profile`,
		"it's":                   `it\(aqs`,
		`{{"\n"}}`:               `{{"\(rsn"}}`,
		"-o a,b":                 `\-o a,\:b`,
		"\nOne\ntwo.\n\nThree.":  ".PP\nOne\ntwo.\n.PP\nThree.\n",
		"A table:\n  a  b\nend.": ".PP\nA table:\n.PP\n.RS 2\n.nf\na  b\n.fi\n.RE\nend.\n",
	} {
		got := roff(text)
		if strings.Contains(text, "\n") {
			got = roffText(text)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
