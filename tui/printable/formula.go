package printable

import "strings"

// NotFormula keeps a spreadsheet from reading text that others wrote as a formula: where the text begins like
// one, it gets an apostrophe in front, which makes it text (OWASP, CSV injection). The wide forms of the signs
// count in some countries. A text that begins with an apostrophe gets one as well, so that taking one away always
// gives the text. It is for cells of text alone: a number with a minus sign stays a number.
func NotFormula(text string) string {
	if text != "" && strings.ContainsRune("'=+-@\t\r\n|%＝＋－＠", []rune(text)[0]) {
		return "'" + text
	}
	return text
}
