package money

import (
	"slices"
	"strings"
)

// Currency is an ISO 4217 alphabetic code in upper case, such as "USD".
//
// It is a plain string, so that rows and JSON hold it as it is. What comes from
// outside goes through ParseCurrency or Check before it is believed.
type Currency string

// currencyInfo is a row of the generated table.
type currencyInfo struct {
	code     Currency
	exponent int
	name     string
}

// ParseCurrency reads a code as people type it: three ASCII letters, in either
// case. It accepts the active currencies and funds that have minor units and
// refuses all else with CodeCurrencyUnknown: withdrawn codes (HRK, ZWL), and
// codes nothing can be paid in (XAU, XTS).
func ParseCurrency(text string) (Currency, error) {
	// Three bytes, so three ASCII letters if the table knows them. Without the
	// length, ToUpper would turn the long s of "uſd" into an S.
	if len(text) == 3 {
		if c := Currency(strings.ToUpper(text)); c.Known() {
			return c, nil
		}
	}
	return "", unknownCurrency(text)
}

// Currencies lists every known currency in order of its code. The caller owns
// the slice.
func Currencies() []Currency {
	list := make([]Currency, len(iso4217))
	for i, info := range iso4217 {
		list[i] = info.code
	}
	return list
}

// Known reports whether c is in the table, in its exact upper-case form.
func (c Currency) Known() bool {
	_, known := c.lookup()
	return known
}

// Exponent is the number of decimals, 0 to 4: 10^Exponent minor units make one
// unit. It is 0 for an unknown currency; ask Known first where that matters.
func (c Currency) Exponent() int {
	info, _ := c.lookup()
	return info.exponent
}

// Name is the English name in ISO 4217, such as "US Dollar". It is not unique
// (VED and VES share theirs), and empty for an unknown currency.
func (c Currency) Name() string {
	info, _ := c.lookup()
	return info.name
}

func (c Currency) lookup() (currencyInfo, bool) {
	i, found := slices.BinarySearchFunc(iso4217[:], c, func(info currencyInfo, c Currency) int {
		return strings.Compare(string(info.code), string(c))
	})
	if !found {
		return currencyInfo{}, false
	}
	return iso4217[i], true
}

func unknownCurrency(text string) *Error {
	if text == "" {
		return errorf(CodeCurrencyUnknown, "the currency is missing: type its ISO 4217 code, such as USD or EUR")
	}
	return errorf(CodeCurrencyUnknown,
		"%s is not an active ISO 4217 currency: type a code of three letters, such as USD or EUR", quote(text))
}
