package money_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/JDevAman/kizo/money"
)

func ExampleParse() {
	amount, _ := money.Parse("12.5", "USD")
	fmt.Println(amount.Minor, amount)

	_, err := money.Parse("12.345", "USD")
	fmt.Println(err)
	// Output:
	// 1250 12.50 USD
	// 12.345 has 3 decimals, USD takes at most 2: type 12.34 or 12.35
}

func TestString(t *testing.T) {
	for _, tt := range []struct {
		minor    int64
		currency money.Currency
		want     string
	}{
		{1250, "USD", "12.50 USD"},
		{1250, "JPY", "1250 JPY"},
		{1250, "KWD", "1.250 KWD"},
		{1250, "CLF", "0.1250 CLF"},
		{0, "USD", "0.00 USD"},
		{0, "JPY", "0 JPY"},
		{5, "USD", "0.05 USD"},
		{100, "USD", "1.00 USD"},
		{-5, "USD", "-0.05 USD"},
		{-1250, "USD", "-12.50 USD"},
		{-1250, "JPY", "-1250 JPY"},
		{math.MaxInt64, "USD", "92233720368547758.07 USD"},
		{math.MinInt64, "USD", "-92233720368547758.08 USD"},
		{math.MinInt64, "JPY", "-9223372036854775808 JPY"},
		{math.MinInt64, "UYW", "-922337203685477.5808 UYW"},
		{1250, "XAU", `1250 minor units of "XAU"`},
		{-7, "\x1b[2J", `-7 minor units of "\x1b[2J"`},
		{0, "", `0 minor units of ""`},
	} {
		if got := money.Format(tt.minor, tt.currency); got != tt.want {
			t.Errorf("Format(%d, %q) = %q, want %q", tt.minor, tt.currency, got, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, minor := range []int64{1, 2, money.Max - 1, money.Max} {
		if err := money.Check(minor, "USD"); err != nil {
			t.Errorf("Check(%d, USD) = %v", minor, err)
		}
	}
	for _, minor := range []int64{0, -1, money.Max + 1, math.MaxInt64, math.MinInt64} {
		checkError(t, money.Check(minor, "USD"), "USD")
	}
	assertError(t, money.Check(0, "USD"), money.CodeOutOfRange,
		"an amount of 0 is out of range: USD takes 1 to 1000000000000000 minor units (0.01 to 10000000000000.00 USD)")
	assertError(t, money.Check(1, "XAU"), money.CodeCurrencyUnknown,
		`"XAU" is not an active ISO 4217 currency: type a code of three letters, such as USD or EUR`)
}

// Every pair of these edges, against arithmetic that cannot overflow.
func TestArithmeticNeverWrapsAround(t *testing.T) {
	edges := []int64{
		math.MinInt64, math.MinInt64 + 1, math.MinInt64 / 2, -money.Max, -2, -1,
		0, 1, 2, money.Max, math.MaxInt64 / 2, math.MaxInt64/2 + 1, math.MaxInt64 - 1, math.MaxInt64,
	}
	expect := func(operation string, got money.Amount, err error, want *big.Int) {
		t.Helper()
		switch {
		case !want.IsInt64():
			if err == nil || got != (money.Amount{}) {
				t.Errorf("%s = %v, %v; want an error, it is %v", operation, got, err, want)
				return
			}
			checkError(t, err, "USD")
		case err != nil || got != (money.Amount{Minor: want.Int64(), Currency: "USD"}):
			t.Errorf("%s = %v, %v; want %v", operation, got, err, want)
		}
	}
	for _, x := range edges {
		a, bigA := money.Amount{Minor: x, Currency: "USD"}, big.NewInt(x)
		for _, y := range edges {
			b, bigB := money.Amount{Minor: y, Currency: "USD"}, big.NewInt(y)
			sum, err := a.Add(b)
			expect(a.String()+" + "+b.String(), sum, err, new(big.Int).Add(bigA, bigB))
			difference, err := a.Sub(b)
			expect(a.String()+" − "+b.String(), difference, err, new(big.Int).Sub(bigA, bigB))
		}
	}
}

func TestArithmeticKeepsCurrenciesApart(t *testing.T) {
	usd, eur := money.Amount{Minor: 1250, Currency: "USD"}, money.Amount{Minor: 5, Currency: "EUR"}
	const message = "12.50 USD and 0.05 EUR are of different currencies: use one currency for both"
	_, err := usd.Add(eur)
	assertError(t, err, money.CodeCurrencyMismatch, message)
	_, err = usd.Sub(eur)
	assertError(t, err, money.CodeCurrencyMismatch, message)
	if _, err = usd.Add(money.Amount{}); err == nil {
		t.Error("the zero Amount was added to an amount of USD")
	}
}

func FuzzFormatRoundTrip(f *testing.F) {
	for _, minor := range []int64{0, 1, -1, 9, 10, 99, 100, -100, 9999, 10000, money.Max, money.Max + 1, math.MaxInt64, math.MinInt64} {
		for i := range uint8(8) {
			f.Add(minor, i*20)
		}
	}
	currencies := money.Currencies()
	f.Fuzz(func(t *testing.T, minor int64, index uint8) {
		c := currencies[int(index)%len(currencies)]
		amount := money.Amount{Minor: minor, Currency: c}
		if want := rational(amount).FloatString(c.Exponent()); amount.Decimal() != want {
			t.Fatalf("%d minor units of %s are %s, want %s", minor, c, amount.Decimal(), want)
		}
		got, err := money.Parse(amount.Decimal(), c)
		if money.Check(minor, c) != nil {
			if err == nil {
				t.Fatalf("Parse(%q, %s) = %v, out of bounds", amount.Decimal(), c, got)
			}
			checkError(t, err, c)
			return
		}
		if err != nil || got != amount {
			t.Fatalf("Parse(%q, %s) = %v, %v; want %v", amount.Decimal(), c, got, err, amount)
		}
	})
}
