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

	// Message says what is wrong, in one line of text without control characters, also
	// if it quotes text that contains some.
	Message string

	// Try contains what to type instead. It is empty if there is no certain answer.
	// Parse accepts each element for the same currency.
	Try []string
}

// Error returns the message and, if Try is not empty, what to type instead.
func (e *Error) Error() string {
	if len(e.Try) == 0 {
		return e.Message
	}
	return e.Message + ": type " + strings.Join(e.Try, " or ")
}

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// maxQuoted is the maximum length, in bytes, of the input that a message quotes.
const maxQuoted = 24

// quote makes input safe to print on a terminal: it shortens the text and escapes
// everything that cannot be printed, which includes control characters, direction marks
// and invalid UTF-8.
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
