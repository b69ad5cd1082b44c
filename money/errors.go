package money

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The codes of an Error. They are part of the API and never change.
const (
	CodeMalformed        = "amount_malformed"    // not a plain decimal number
	CodePrecision        = "amount_precision"    // more decimals than the currency has
	CodeOutOfRange       = "amount_out_of_range" // below 1, above Max, or beyond int64
	CodeCurrencyUnknown  = "currency_unknown"    // not an active ISO 4217 currency
	CodeCurrencyMismatch = "currency_mismatch"   // two currencies where one is needed
)

// Error is the only error type of this package.
type Error struct {
	// Code is one of the Code constants.
	Code string

	// Message says what is wrong, in one line without control characters, even
	// when it quotes text that had some.
	Message string

	// Try holds what to type instead. It is empty where there is no certain
	// answer; what it holds, Parse accepts for the same currency.
	Try []string
}

// Error is the message and, where there is one, what to type instead.
func (e *Error) Error() string {
	if len(e.Try) == 0 {
		return e.Message
	}
	return e.Message + ": type " + strings.Join(e.Try, " or ")
}

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// maxQuoted bounds what a message repeats of somebody's text, in bytes.
const maxQuoted = 24

// quote makes text of unknown origin safe to show on a terminal: short, and with
// everything unprintable escaped, which takes in control characters, direction
// marks and broken UTF-8.
func quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	end := maxQuoted
	for end > maxQuoted-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strconv.Quote(text[:end]) + "..."
}
