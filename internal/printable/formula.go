package printable

import "strings"

// NotFormula keeps a spreadsheet from evaluating untrusted text as a formula: if the text begins
// like one, NotFormula prepends an apostrophe, which marks it as text (OWASP, CSV injection). The
// full-width forms of the signs begin a formula in some locales. A text that begins with an
// apostrophe gets another one, so that removing one always restores the text. NotFormula is for
// cells that contain text: a number with a minus sign must stay a number.
func NotFormula(text string) string {
	if text != "" && strings.ContainsRune("'=+-@\t\r\n|%＝＋－＠", []rune(text)[0]) {
		return "'" + text
	}
	return text
}
