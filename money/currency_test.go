package money_test

import (
	"slices"
	"testing"

	"github.com/JDevAman/kizo/money"
)

// TestExponents has its own list of the currencies that do not have two decimals: a wrong
// exponent makes an amount wrong by a factor of ten or more.
func TestExponents(t *testing.T) {
	exceptions := map[int][]money.Currency{
		0: {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"},
		3: {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"},
		4: {"CLF", "UYW"},
	}
	want := map[money.Currency]int{}
	for exponent, currencies := range exceptions {
		for _, c := range currencies {
			want[c] = exponent
		}
	}
	// Two decimals, and wrong in one library or another.
	for _, c := range []money.Currency{"AFN", "COP", "HUF", "IDR", "LAK", "MGA", "MRU", "PKR", "SLE", "TWD", "VED", "XAD", "XCG", "ZWG"} {
		if !c.Known() {
			t.Errorf("%s is unknown", c)
		}
	}
	for _, c := range money.Currencies() {
		exponent, exceptional := want[c]
		if !exceptional {
			exponent = 2
		}
		if c.Exponent() != exponent {
			t.Errorf("%s has %d decimals, want %d", c, c.Exponent(), exponent)
		}
		delete(want, c)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestCurrencies(t *testing.T) {
	list := money.Currencies()
	if len(list) != 165 {
		t.Errorf("%d currencies, want the 165 of ISO 4217 that have minor units", len(list))
	}
	if !slices.IsSorted(list) {
		t.Errorf("not in order: %v", list)
	}
	for _, c := range list {
		if got, err := money.ParseCurrency(string(c)); err != nil || got != c || c.Name() == "" {
			t.Errorf("ParseCurrency(%q) = %q (%s), %v", c, got, c.Name(), err)
		}
	}
	list[0] = "XXX"
	if money.Currencies()[0] != "AED" {
		t.Error("a caller's change reached the table")
	}
}

func TestParseCurrency(t *testing.T) {
	for _, text := range []string{"USD", "usd", "uSd"} {
		c, err := money.ParseCurrency(text)
		if err != nil || c != "USD" || c.Name() != "US Dollar" || c.Exponent() != 2 {
			t.Errorf("ParseCurrency(%q) = %q, %v", text, c, err)
		}
	}
	const advice = " is not an active ISO 4217 currency: type a code of three letters, such as USD or EUR"
	for text, quoted := range map[string]string{
		"HRK": `"HRK"`, "ZWL": `"ZWL"`, "SLL": `"SLL"`, "ANG": `"ANG"`, "CUC": `"CUC"`, "BGN": `"BGN"`, // withdrawn
		"XAU": `"XAU"`, "XDR": `"XDR"`, "XTS": `"XTS"`, "XXX": `"XXX"`, // no minor units
		" USD": `" USD"`, "US": `"US"`, "USDT": `"USDT"`, "840": `"840"`, "$": `"$"`,
		"uſd": `"uſd"`, "ＵＳＤ": `"ＵＳＤ"`, "US\x00": `"US\x00"`, "\xff\xfe\xfd": `"\xff\xfe\xfd"`,
	} {
		c, err := money.ParseCurrency(text)
		if c != "" {
			t.Errorf("ParseCurrency(%q) = %q", text, c)
		}
		assertError(t, err, money.CodeCurrencyUnknown, quoted+advice)
	}
	_, err := money.ParseCurrency("")
	assertError(t, err, money.CodeCurrencyUnknown, "the currency is missing: type its ISO 4217 code, such as USD or EUR")
}

func TestUnknownCurrency(t *testing.T) {
	for _, c := range []money.Currency{"", "usd", "XAU", "ZZZ", "AAA"} {
		if c.Known() || c.Exponent() != 0 || c.Name() != "" {
			t.Errorf("%q: known %v, exponent %d, name %q", c, c.Known(), c.Exponent(), c.Name())
		}
	}
}
