// Package money is an amount of money: an int64 count of minor units and an
// ISO 4217 currency.
//
// What people type becomes an Amount, and an Amount becomes what they read:
//
//	usd, err := money.ParseCurrency("usd")     // USD
//	amount, err := money.Parse("12.50", usd)   // Amount{Minor: 1250, Currency: "USD"}
//	amount.Decimal()                           // "12.50"
//	amount.String()                            // "12.50 USD"
//
// What programs send, {"amount": 1250, "currency": "USD"}, is checked before it
// moves:
//
//	err := money.Check(1250, "USD")            // 1 ≤ minor units ≤ Max
//
// A currency has zero to four decimals: 1250 minor units are 12.50 USD, 1250 JPY
// or 1.250 KWD. Nothing here rounds and nothing here is a float; digits that a
// currency cannot hold are an error.
//
// An amount that someone moves is positive. An Amount itself may be negative or
// zero, because postings and balances are; Add, Sub and Neg refuse to overflow.
//
// Every error is an *Error: a stable Code for programs, a message for people
// that says what to type instead. No function panics, whatever it is given.
package money

//go:generate go run ./internal/gen iso4217.csv iso4217.gen.go
