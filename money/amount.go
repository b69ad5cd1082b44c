package money

import (
	"math"
	"strconv"
	"strings"
)

// Max is the largest amount that one transfer moves, in minor units of any
// currency: 10,000,000,000,000.00 USD. The smallest is 1.
const Max int64 = 1_000_000_000_000_000

// Amount is a signed number of minor units of one currency. Amounts compare
// with ==. The zero value belongs to no currency and adds to no other.
type Amount struct {
	Minor    int64
	Currency Currency
}

// Check reports whether a transfer may move that many minor units of c: c is
// known (else CodeCurrencyUnknown) and 1 ≤ minor ≤ Max (else CodeOutOfRange).
func Check(minor int64, c Currency) error {
	if !c.Known() {
		return unknownCurrency(string(c))
	}
	if minor < 1 || minor > Max {
		return errorf(CodeOutOfRange, "an amount of %d is out of range: %s takes 1 to %d minor units (%s to %s)",
			minor, c, Max, Amount{1, c}.Decimal(), Amount{Max, c})
	}
	return nil
}

// Format is Amount{minor, c}.String().
func Format(minor int64, c Currency) string {
	return Amount{minor, c}.String()
}

// String is the amount for people, "12.50 USD". An unknown currency has no
// decimals to show, so its amounts say that they are minor units.
func (a Amount) String() string {
	if !a.Currency.Known() {
		return a.Decimal() + " minor units of " + quote(string(a.Currency))
	}
	return a.Decimal() + " " + string(a.Currency)
}

// Decimal is the number alone, with all decimals of the currency: "12.50",
// "-0.05". Parse reads it back if it is within Parse's bounds.
func (a Amount) Decimal() string {
	sign, magnitude := "", uint64(a.Minor)
	if a.Minor < 0 {
		// Negated as unsigned: math.MinInt64 has no positive int64.
		sign, magnitude = "-", -magnitude
	}
	digits := strconv.FormatUint(magnitude, 10)
	exponent := a.Currency.Exponent()
	if exponent == 0 {
		return sign + digits
	}
	if missing := exponent + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - exponent
	return sign + digits[:point] + "." + digits[point:]
}

// Add is a + b. It fails with CodeCurrencyMismatch, or with CodeOutOfRange when
// the sum does not fit an int64.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, mismatch(a, b)
	}
	sum := a.Minor + b.Minor
	// A sum that wrapped around moved against the sign of what was added.
	if (sum > a.Minor) != (b.Minor > 0) {
		return Amount{}, errorf(CodeOutOfRange, "%s and %s are too large to add", a, b)
	}
	return Amount{sum, a.Currency}, nil
}

// Sub is a − b. It fails as Add does.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, mismatch(a, b)
	}
	difference := a.Minor - b.Minor
	if (difference < a.Minor) != (b.Minor > 0) {
		return Amount{}, errorf(CodeOutOfRange, "%s and %s are too far apart to subtract", a, b)
	}
	return Amount{difference, a.Currency}, nil
}

// Neg is −a. It fails with CodeOutOfRange for math.MinInt64 alone.
func (a Amount) Neg() (Amount, error) {
	if a.Minor == math.MinInt64 {
		return Amount{}, errorf(CodeOutOfRange, "%s is too large to negate", a)
	}
	return Amount{-a.Minor, a.Currency}, nil
}

func mismatch(a, b Amount) *Error {
	return errorf(CodeCurrencyMismatch, "%s and %s are of different currencies: use one currency for both", a, b)
}
