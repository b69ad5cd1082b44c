package money

import (
	"strconv"
	"strings"
)

// maxText is the maximum length, in bytes, of what Parse reads: enough for any amount
// with many leading zeros.
const maxText = 64

// Parse reads an amount of c as users type it: "12", "12.5", "12.50".
//
// An amount consists of ASCII digits, optionally followed by one point and no more digits
// than c has decimals. Leading zeros are accepted. ".5" and "5." are rejected, because a
// digit may have been lost in copying; so are signs, spaces, thousands separators,
// exponents and currency symbols. Parse never rounds.
//
// The error codes are CodeCurrencyUnknown, CodeMalformed, CodePrecision for too
// many decimals (zeros too), and CodeOutOfRange unless 1 ≤ minor units ≤ Max.
func Parse(text string, c Currency) (Amount, error) {
	if !c.Known() {
		return Amount{}, unknownCurrency(string(c))
	}
	whole, decimals, ok := split(text)
	if !ok {
		return Amount{}, malformed(text, c)
	}
	exponent := c.Exponent()
	kept := decimals[:min(len(decimals), exponent)]
	excess := decimals[len(kept):]
	minor := minorUnits(whole + kept + strings.Repeat("0", exponent-len(kept)))

	// Zero and amounts above Max are errors of size first: they would be wrong with
	// any number of decimals.
	switch {
	case minor > Max:
		return Amount{}, errorf(CodeOutOfRange, "%s %s is too large: type %s or less", text, c, Amount{Max, c}.Decimal())
	case minor < 1 && allZeros(excess):
		return Amount{}, errorf(CodeOutOfRange, "%s %s is too small: type %s or more", text, c, Amount{1, c}.Decimal())
	case excess != "":
		return Amount{}, tooPrecise(text, decimals, c, neighbors(minor, excess, c))
	}
	return Amount{minor, c}, nil
}

// split splits a plain decimal number at its point.
func split(text string) (whole, decimals string, ok bool) {
	if len(text) > maxText {
		return "", "", false
	}
	whole, decimals, point := strings.Cut(text, ".")
	if !allDigits(whole) || (point && !allDigits(decimals)) {
		return "", "", false
	}
	return whole, decimals, true
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

func allZeros(digits string) bool {
	return strings.Trim(digits, "0") == ""
}

// minorUnits converts digits. It stops at the first value above Max, so that it cannot
// overflow.
func minorUnits(digits string) int64 {
	var minor int64
	for i := range len(digits) {
		minor = minor*10 + int64(digits[i]-'0')
		if minor > Max {
			return Max + 1
		}
	}
	return minor
}

// neighbors returns the valid amounts that a text with excess digits may have meant: the
// one below and the one above, or the exact one if the excess digits are zeros.
func neighbors(below int64, excess string, c Currency) []string {
	candidates := []int64{below}
	if !allZeros(excess) {
		candidates = append(candidates, below+1)
	}
	var try []string
	for _, minor := range candidates {
		if minor >= 1 && minor <= Max {
			try = append(try, Amount{minor, c}.Decimal())
		}
	}
	return try
}

func tooPrecise(text, decimals string, c Currency, try []string) *Error {
	has, takes := "decimals", "none"
	if len(decimals) == 1 {
		has = "decimal"
	}
	if exponent := c.Exponent(); exponent > 0 {
		takes = "at most " + strconv.Itoa(exponent)
	}
	err := errorf(CodePrecision, "%s has %d %s, %s takes %s", text, len(decimals), has, c, takes)
	err.Try = try
	return err
}

// malformed returns the error for a text that split has rejected. It suggests a
// correction only if there is exactly one and Parse accepts it.
func malformed(text string, c Currency) *Error {
	switch {
	case text == "":
		return errorf(CodeMalformed, "the amount is missing: %s", advice(c))
	case len(text) > maxText:
		return errorf(CodeMalformed, "%s is too long for an amount: %s", quote(text), advice(c))
	}
	for _, repair := range []struct{ text, reason string }{
		{strings.TrimLeft(text, "+-"), "has a sign, and amounts have none"},
		{"0" + text, "has no digit before the point"},
		{strings.TrimSuffix(text, "."), "has no digit after the point"},
	} {
		if _, _, ok := split(repair.text); !ok {
			continue
		}
		if _, refused := Parse(repair.text, c); refused != nil {
			return errorf(CodeMalformed, "%s %s: %s", quote(text), repair.reason, advice(c))
		}
		err := errorf(CodeMalformed, "%s %s", quote(text), repair.reason)
		err.Try = []string{repair.text}
		return err
	}
	// A comma may separate thousands or decimals: a guess could be wrong by a factor of
	// a hundred, so there is no suggestion.
	if strings.Contains(text, ",") {
		return errorf(CodeMalformed, "%s has a comma: %s", quote(text), advice(c))
	}
	return errorf(CodeMalformed, "%s is not an amount: %s", quote(text), advice(c))
}

// advice describes the form of an amount of c, for texts without a suggestion.
func advice(c Currency) string {
	if c.Exponent() == 0 {
		return "type digits 0-9 alone, such as 12"
	}
	return "type digits 0-9 with at most one point, such as 12.50"
}
