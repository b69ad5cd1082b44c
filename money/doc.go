// Package money represents amounts of money: an int64 number of minor units and an
// ISO 4217 currency.
//
//	"12.50", "usd" ──Parse──► Amount{1250, "USD"} ──String──► "12.50 USD"
//
// It converts what users type into an Amount, and an Amount into what they read:
//
//	usd, err := money.ParseCurrency("usd")     // USD
//	amount, err := money.Parse("12.50", usd)   // Amount{Minor: 1250, Currency: "USD"}
//	amount.Decimal()                           // "12.50"
//	amount.String()                            // "12.50 USD"
//
// What programs send, {"amount": 1250, "currency": "USD"}, must be checked before it
// is used:
//
//	err := money.Check(1250, "USD")            // 1 ≤ minor units ≤ Max
//
// A currency has zero to four decimals: 1250 minor units are 12.50 USD, 1250 JPY
// or 1.250 KWD. The package never rounds and uses no floating-point numbers; more
// decimals than a currency has are an error.
//
// The amount of a transfer is positive. An Amount may be negative or zero, because
// postings and balances can be; Add and Sub fail if they would overflow.
//
// Every error is an *Error, with a stable Code for programs and a message for users that
// says what to type instead. No function panics, for any input. The package imports only
// the standard library.
package money

//go:generate go run ./internal/gen iso4217.csv iso4217.gen.go
