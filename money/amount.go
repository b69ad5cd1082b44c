package money

import (
	"strconv"
	"strings"
)

// Max is the largest amount of one transfer, in minor units of any currency:
// 10,000,000,000,000.00 USD. The smallest amount is 1.
const Max int64 = 1_000_000_000_000_000

// Amount is a signed number of minor units of one currency. Amounts can be compared
// with ==. The zero value has no currency and cannot be added to another amount.
type Amount struct {
	Minor    int64
	Currency Currency
}

// Check returns nil if a transfer may move that many minor units of c. It fails with
// CodeCurrencyUnknown if c is unknown, and with CodeOutOfRange unless 1 ≤ minor ≤ Max.
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

// Format returns Amount{minor, c}.String().
func Format(minor int64, c Currency) string {
	return Amount{minor, c}.String()
}

// String returns the amount for users, such as "12.50 USD". The number of decimals of an
// unknown currency is unknown, so that its amounts are shown in minor units.
func (a Amount) String() string {
	if !a.Currency.Known() {
		return a.Decimal() + " minor units of " + quote(string(a.Currency))
	}
	return a.Decimal() + " " + string(a.Currency)
}

// Decimal returns the number without the currency, with all decimals of the currency:
// "12.50", "-0.05". Parse reads it if it is within the limits of Parse.
func (a Amount) Decimal() string {
	sign, magnitude := "", uint64(a.Minor)
	if a.Minor < 0 {
		// Negate as unsigned: no int64 is the negation of math.MinInt64.
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

// Add returns a + b. It fails with CodeCurrencyMismatch, or with CodeOutOfRange if the
// sum does not fit into an int64.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, mismatch(a, b)
	}
	sum := a.Minor + b.Minor
	// A sum that overflows moves against the sign of what is added.
	if (sum > a.Minor) != (b.Minor > 0) {
		return Amount{}, errorf(CodeOutOfRange, "%s and %s are too large to add", a, b)
	}
	return Amount{sum, a.Currency}, nil
}

// Sub returns a − b. It fails like Add.
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

func mismatch(a, b Amount) *Error {
	return errorf(CodeCurrencyMismatch, "%s and %s are of different currencies: use one currency for both", a, b)
}
