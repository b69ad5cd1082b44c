package money

import (
	"slices"
	"strings"
)

// Currency is an ISO 4217 alphabetic code in upper case, such as "USD".
//
// It is a plain string, as in the database and in JSON. Check input with ParseCurrency or
// Check before using it.
type Currency string

// currencyInfo is a row of the generated table.
type currencyInfo struct {
	code     Currency
	exponent int
	name     string
}

// ParseCurrency reads a code as users type it: three ASCII letters, in upper or lower
// case. It accepts the active currencies and funds that have minor units and
// rejects everything else with CodeCurrencyUnknown: withdrawn codes (HRK, ZWL), and
// codes that no payment can use (XAU, XTS).
func ParseCurrency(text string) (Currency, error) {
	// Three bytes of a known currency are three ASCII letters. Without the check of the
	// length, ToUpper would turn the long s of "uſd" into an S.
	if len(text) == 3 {
		if c := Currency(strings.ToUpper(text)); c.Known() {
			return c, nil
		}
	}
	return "", unknownCurrency(text)
}

// Currencies returns every known currency in the order of their codes. The caller owns
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

// Exponent returns the number of decimals, 0 to 4: 10^Exponent minor units make one
// unit. It is 0 for an unknown currency; call Known first if that matters.
func (c Currency) Exponent() int {
	info, _ := c.lookup()
	return info.exponent
}

// Name returns the English name in ISO 4217, such as "US Dollar". It is not unique
// (VED and VES have the same name), and it is empty for an unknown currency.
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
