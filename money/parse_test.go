package money_test

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/JDevAman/kizo/money"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text     string
		currency money.Currency
		want     int64
	}{
		{"12.50", "USD", 1250},
		{"12.5", "USD", 1250},
		{"12", "USD", 1200},
		{"0.01", "USD", 1},
		{"0012.50", "USD", 1250},
		{"10000000000000.00", "USD", money.Max},
		{"1250", "JPY", 1250},
		{"1000000000000000", "JPY", money.Max},
		{"12", "UYI", 12},
		{"1.250", "KWD", 1250},
		{"1.25", "IQD", 1250},
		{"1.0001", "CLF", 10001},
		{"1.0001", "UYW", 10001},
		{"1.01", "COP", 101},
		{"1.01", "IDR", 101},
		{strings.Repeat("0", 60) + "1.01", "USD", 101},
	} {
		got, err := money.Parse(tt.text, tt.currency)
		if want := (money.Amount{Minor: tt.want, Currency: tt.currency}); err != nil || got != want {
			t.Errorf("Parse(%q, %s) = %v, %v; want %v", tt.text, tt.currency, got, err, want)
		}
	}
}

// TestParseRefuses pins the messages that users read.
func TestParseRefuses(t *testing.T) {
	const shape = ": type digits 0-9 with at most one point, such as 12.50"
	for _, tt := range []struct {
		text     string
		currency money.Currency
		code     string
		message  string
	}{
		{"12.345", "USD", money.CodePrecision, "12.345 has 3 decimals, USD takes at most 2: type 12.34 or 12.35"},
		{"12.999", "USD", money.CodePrecision, "12.999 has 3 decimals, USD takes at most 2: type 12.99 or 13.00"},
		{"12.500", "USD", money.CodePrecision, "12.500 has 3 decimals, USD takes at most 2: type 12.50"},
		{"0.004", "USD", money.CodePrecision, "0.004 has 3 decimals, USD takes at most 2: type 0.01"},
		{"10000000000000.001", "USD", money.CodePrecision, "10000000000000.001 has 3 decimals, USD takes at most 2: type 10000000000000.00"},
		{"12.5", "JPY", money.CodePrecision, "12.5 has 1 decimal, JPY takes none: type 12 or 13"},
		{"1.2345", "KWD", money.CodePrecision, "1.2345 has 4 decimals, KWD takes at most 3: type 1.234 or 1.235"},

		{"0", "USD", money.CodeOutOfRange, "0 USD is too small: type 0.01 or more"},
		{"0.000", "USD", money.CodeOutOfRange, "0.000 USD is too small: type 0.01 or more"},
		{"0.0", "JPY", money.CodeOutOfRange, "0.0 JPY is too small: type 1 or more"},
		{"10000000000000.01", "USD", money.CodeOutOfRange, "10000000000000.01 USD is too large: type 10000000000000.00 or less"},
		{"10000000000000.019", "USD", money.CodeOutOfRange, "10000000000000.019 USD is too large: type 10000000000000.00 or less"},
		{"1000000000000001", "JPY", money.CodeOutOfRange, "1000000000000001 JPY is too large: type 1000000000000000 or less"},
		{"92233720368547758.08", "USD", money.CodeOutOfRange, "92233720368547758.08 USD is too large: type 10000000000000.00 or less"},
		{"18446744073709551617", "JPY", money.CodeOutOfRange, "18446744073709551617 JPY is too large: type 1000000000000000 or less"},

		{"", "USD", money.CodeMalformed, "the amount is missing" + shape},
		{"-5", "USD", money.CodeMalformed, `"-5" has a sign, and amounts have none: type 5`},
		{"+5.25", "USD", money.CodeMalformed, `"+5.25" has a sign, and amounts have none: type 5.25`},
		{"-0", "USD", money.CodeMalformed, `"-0" has a sign, and amounts have none` + shape},
		{".5", "USD", money.CodeMalformed, `".5" has no digit before the point: type 0.5`},
		{".5", "JPY", money.CodeMalformed, `".5" has no digit before the point: type digits 0-9 alone, such as 12`},
		{"5.", "JPY", money.CodeMalformed, `"5." has no digit after the point: type 5`},
		{"1,250.00", "USD", money.CodeMalformed, `"1,250.00" has a comma` + shape},
		{"12,50", "EUR", money.CodeMalformed, `"12,50" has a comma` + shape},
		{"1e3", "USD", money.CodeMalformed, `"1e3" is not an amount` + shape},
		{"0x10", "USD", money.CodeMalformed, `"0x10" is not an amount` + shape},
		{"1_000", "USD", money.CodeMalformed, `"1_000" is not an amount` + shape},
		{"1.2.3", "USD", money.CodeMalformed, `"1.2.3" is not an amount` + shape},
		{".", "USD", money.CodeMalformed, `"." is not an amount` + shape},
		{"1/2", "USD", money.CodeMalformed, `"1/2" is not an amount` + shape}, // / and : are next to the
		{"1:2", "USD", money.CodeMalformed, `"1:2" is not an amount` + shape}, // digits in ASCII
		{"-", "USD", money.CodeMalformed, `"-" is not an amount` + shape},
		{" 12", "USD", money.CodeMalformed, `" 12" is not an amount` + shape},
		{"12\n", "USD", money.CodeMalformed, `"12\n" is not an amount` + shape},
		{"€12", "EUR", money.CodeMalformed, `"€12" is not an amount` + shape},
		{"12 USD", "USD", money.CodeMalformed, `"12 USD" is not an amount` + shape},
		{"NaN", "USD", money.CodeMalformed, `"NaN" is not an amount` + shape},
		{"١٢", "USD", money.CodeMalformed, `"١٢" is not an amount` + shape},
		{"１２", "JPY", money.CodeMalformed, `"１２" is not an amount: type digits 0-9 alone, such as 12`},
		{"\x1b[2J12", "USD", money.CodeMalformed, `"\x1b[2J12" is not an amount` + shape},
		{"1\u202e2\xff", "USD", money.CodeMalformed, `"1\u202e2\xff" is not an amount` + shape},
		{"what was due on last weeké", "USD", money.CodeMalformed, `"what was due on last wee"... is not an amount` + shape},
		{strings.Repeat("0", 65), "USD", money.CodeMalformed, `"000000000000000000000000"... is too long for an amount` + shape},
		{"a" + strings.Repeat("é", 40), "USD", money.CodeMalformed, `"aééééééééééé"... is too long for an amount` + shape},

		{"12", "", money.CodeCurrencyUnknown, "the currency is missing: type its ISO 4217 code, such as USD or EUR"},
		{"12", "usd", money.CodeCurrencyUnknown, `"usd" is not an active ISO 4217 currency: type a code of three letters, such as USD or EUR`},
	} {
		got, err := money.Parse(tt.text, tt.currency)
		if got != (money.Amount{}) {
			t.Errorf("Parse(%q, %s) = %v together with an error", tt.text, tt.currency, got)
		}
		assertError(t, err, tt.code, tt.message)
	}
}

// TestParseReadsWhatDecimalWrites: every valid amount survives Decimal and Parse.
func TestParseReadsWhatDecimalWrites(t *testing.T) {
	for _, c := range money.Currencies() {
		for _, minor := range []int64{1, 9, 10, 99, 100, 101, 999, 1000, 9999, 10000, 123456789, money.Max - 1, money.Max} {
			amount := money.Amount{Minor: minor, Currency: c}
			if got, err := money.Parse(amount.Decimal(), c); err != nil || got != amount {
				t.Errorf("Parse(%q, %s) = %v, %v; want %v", amount.Decimal(), c, got, err, amount)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"12.50", "12", "0.01", ".5", "5.", "-5", "+5", "", ".", "1,250.00", "1e3", "12.345", "12.500", "0.000",
		"0.009", "9999999999999.999", "10000000000000.00", "10000000000000.001", "10000000000000.01",
		"9223372036854775807", "9223372036854775808", "١٢", "１２", "\x1b[31m1", "\xff", strings.Repeat("9", 64),
	} {
		for _, c := range []string{"USD", "JPY", "KWD", "CLF", "", "usd", "XXX"} {
			f.Add(text, c)
		}
	}
	f.Fuzz(func(t *testing.T, text, code string) {
		c := money.Currency(code)
		amount, err := money.Parse(text, c)
		if err != nil {
			if amount != (money.Amount{}) {
				t.Fatalf("Parse(%q, %q) = %v together with an error", text, c, amount)
			}
			checkError(t, err, c)
			return
		}
		if err := money.Check(amount.Minor, amount.Currency); err != nil || amount.Currency != c {
			t.Fatalf("Parse(%q, %q) = %v: %v", text, c, amount, err)
		}
		// Compute the number with exact arithmetic that shares no code with Parse.
		want, ok := new(big.Rat).SetString(text)
		if !ok || want.Cmp(rational(amount)) != 0 {
			t.Fatalf("Parse(%q, %q) = %v, want %v", text, code, amount, want)
		}
		if again, err := money.Parse(amount.Decimal(), c); err != nil || again != amount {
			t.Fatalf("Parse(%q, %q) = %v, %v; want %v", amount.Decimal(), c, again, err, amount)
		}
	})
}

// checkError checks what holds for every error of this package about an amount of c.
func checkError(t *testing.T, err error, c money.Currency) {
	t.Helper()
	e, ok := errors.AsType[*money.Error](err)
	if !ok {
		t.Fatalf("%T is not a *money.Error: %v", err, err)
	}
	codes := []string{money.CodeMalformed, money.CodePrecision, money.CodeOutOfRange, money.CodeCurrencyUnknown, money.CodeCurrencyMismatch}
	if !slices.Contains(codes, e.Code) {
		t.Fatalf("code %q is not one of %q", e.Code, codes)
	}
	if strings.ContainsFunc(e.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("message with control characters: %q", e.Error())
	}
	if len(e.Error()) > 300 {
		t.Fatalf("message of %d bytes: %q", len(e.Error()), e.Error())
	}
	for _, text := range e.Try {
		if _, err := money.Parse(text, c); err != nil {
			t.Fatalf("%v, yet typing it gives: %v", e, err)
		}
	}
	if e.Code == money.CodePrecision && len(e.Try) == 0 {
		t.Fatalf("nothing to type instead: %v", e)
	}
}

func assertError(t *testing.T, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[*money.Error](err)
	if !ok || e.Code != code || e.Error() != message {
		t.Errorf("got  %v\nwant %s %s", err, code, message)
		if ok && e.Code != code {
			t.Errorf("code %s, want %s", e.Code, code)
		}
	}
}

// rational returns the value of a in units of its currency.
func rational(a money.Amount) *big.Rat {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(a.Currency.Exponent())), nil)
	return new(big.Rat).SetFrac(big.NewInt(a.Minor), scale)
}
