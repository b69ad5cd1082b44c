package main

import (
	"fmt"
	"strings"

	"github.com/JDevAman/kizo/money"
)

// moneyHelp lists the currencies whose decimals are not two, from the table that amounts are
// parsed with.
func moneyHelp() string {
	byDecimals := map[int][]string{}
	for _, c := range money.Currencies() {
		byDecimals[c.Exponent()] = append(byDecimals[c.Exponent()], string(c))
	}
	return fmt.Sprintf(`An amount is a decimal number and a currency:

  kizo transfer @bob 12.50 EUR
  kizo transfer @bob '12.50 EUR'
  kizo transfer @bob 12.50 --currency EUR

The decimal separator is a dot, and digits are not grouped: 1250.00. An amount with more decimals than its currency
has is refused, never rounded; kizo names the two nearest amounts. There is no 1e3, no sign and no zero.

Without a currency, kizo takes that of your only wallet. If you have several, it takes KIZO_CURRENCY or
kizo config set currency, and without those it names the choices and sends nothing.

A currency has a code of ISO 4217. Most have two decimals. The others are:
%s
In JSON, amounts are integers of minor units and the currency stands beside them: {"amount": 1250, "currency": "EUR"}
is 12.50 EUR, and {"amount": 1250, "currency": "JPY"} is 1250 JPY.

A wallet has one currency. Its balance is the sum of what came in and went out. What is held, for an authorization that
is not captured yet or a withdrawal that the bank has not confirmed, cannot be spent: available is balance minus held.

  kizo transfer --authorize   holds the amount until the receiver captures or voids it, or it expires
  kizo transfers capture      the receiver collects it, in full or in part; the rest is released
  kizo transfers void         the receiver releases it
  kizo transfers reverse      the receiver sends a transfer back, in full or in part, as a new transfer

Every command that moves money has an idempotency key, a new one if you give none. A key moves money at most once, forever:
the same command with the same key prints the first result again, and another command with that key is refused (exit
code 6). A refusal is stored, too: the same key is refused again, even if the money is there by then.`,
		decimalsTable(byDecimals))
}

func decimalsTable(byDecimals map[int][]string) string {
	const perLine = 20
	var out strings.Builder
	for _, decimals := range []int{0, 3, 4} {
		label := fmt.Sprintf("%d decimals:", decimals)
		for len(byDecimals[decimals]) > 0 {
			line := byDecimals[decimals][:min(perLine, len(byDecimals[decimals]))]
			byDecimals[decimals] = byDecimals[decimals][len(line):]
			fmt.Fprintf(&out, "  %-12s %s\n", label, strings.Join(line, " "))
			label = ""
		}
	}
	return out.String()
}
