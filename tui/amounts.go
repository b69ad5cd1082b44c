package tui

import (
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// amountOf formats an amount from the server with its currency.
func amountOf(minor int64, currency string) string {
	return grouped(money.Format(minor, money.Currency(currency)))
}

// numberOf formats an amount without its currency, for a column or a box that names it once.
func numberOf(minor int64, currency string) string {
	return grouped(money.Amount{Minor: minor, Currency: money.Currency(currency)}.Decimal())
}

// change formats a difference with its sign.
func change(minor int64, currency string) string {
	if minor > 0 {
		return "+" + numberOf(minor, currency)
	}
	return numberOf(minor, currency)
}

// grouped separates the thousands of the whole part of a number with spaces, as ISO 80000-1 does:
// a comma or a point could be read as the decimal sign.
func grouped(number string) string {
	end := len(number)
	start := end
	for i, c := range number {
		if c >= '0' && c <= '9' {
			start = i
			break
		}
	}
	for i, c := range number[start:] {
		if c < '0' || c > '9' {
			end = start + i
			break
		}
	}
	var out strings.Builder
	out.WriteString(number[:start])
	for i := start; i < end; i++ {
		if i > start && (end-i)%3 == 0 {
			out.WriteByte(' ')
		}
		out.WriteByte(number[i])
	}
	return out.String() + number[end:]
}

// when formats a past time: its age during an hour, then the time of day, then the day.
func when(at, now time.Time) string {
	at = at.In(now.Location())
	switch d := now.Sub(at); {
	case d < time.Hour:
		return age(d) + " ago"
	case at.YearDay() == now.YearDay() && at.Year() == now.Year():
		return at.Format("15:04")
	case d < 6*24*time.Hour:
		return at.Format("Mon 15:04")
	case at.Year() == now.Year():
		return at.Format("Jan 02")
	}
	return at.Format("2006-01-02")
}

// signedNumber returns the amount of a transfer with the sign that it has for the user.
func signedNumber(t client.Transfer) string {
	if t.Direction == client.Out {
		return "-" + numberOf(t.Amount, t.Currency)
	}
	return "+" + numberOf(t.Amount, t.Currency)
}
