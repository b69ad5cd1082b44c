package printable

import (
	"strings"
	"testing"
)

func TestNotFormula(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "lunch": "lunch", "a=b": "a=b", "12.50": "12.50", " =1": " =1",
		"=1+1": "'=1+1", "+1": "'+1", "-1+1|cmd": "'-1+1|cmd", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1",
		"|calc": "'|calc", "%0": "'%0", "＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠x": "'＠x", "'tis": "''tis", "'=1": "''=1",
	} {
		got := NotFormula(text)
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if strings.TrimPrefix(got, "'") != text {
			t.Errorf("%q is not restored from %q", text, got)
		}
	}
}
