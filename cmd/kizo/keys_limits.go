package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// limitOptions are the flags of the spending limits of a key.
type limitOptions struct {
	perTransfer, perDay []string
	wallets             []string
	payees              []string
}

func (o *limitOptions) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&o.perTransfer, "max-per-transfer", nil, "the most of one transfer, such as 50USD; one for each currency")
	flags.StringSliceVar(&o.perDay, "max-per-day", nil, "the most of a day (UTC), such as 500USD; one for each currency")
	flags.StringSliceVar(&o.wallets, "from-wallet", nil, "the wallets that the key may spend from, such as USD")
	flags.StringSliceVar(&o.payees, "to", nil, "the only users that the key may pay, such as @bob,@carol")
}

// apply adds the limits to a key. A key with a limit spends only in the currencies that are named.
func (o *limitOptions) apply(key *client.APIKeyCreate) error {
	limits := make(map[money.Currency]*client.APIKeyLimit)
	var order []money.Currency
	of := func(c money.Currency) *client.APIKeyLimit {
		if limits[c] == nil {
			limits[c] = &client.APIKeyLimit{Currency: string(c)}
			order = append(order, c)
		}
		return limits[c]
	}
	for _, code := range o.wallets {
		currency, err := parseCurrency(code)
		if err != nil {
			return err
		}
		of(currency)
	}
	for _, flag := range []struct {
		name  string
		texts []string
		set   func(*client.APIKeyLimit, *int64)
	}{
		{"--max-per-transfer", o.perTransfer, func(l *client.APIKeyLimit, minor *int64) { l.MaxPerTransfer = minor }},
		{"--max-per-day", o.perDay, func(l *client.APIKeyLimit, minor *int64) { l.MaxPerDay = minor }},
	} {
		for _, text := range flag.texts {
			amount, err := parseLimit(flag.name, text)
			if err != nil {
				return err
			}
			if len(o.wallets) > 0 && limits[amount.Currency] == nil {
				return usagef("%s %s is of a wallet that --from-wallet does not name", flag.name, text)
			}
			flag.set(of(amount.Currency), &amount.Minor)
		}
	}
	if len(o.payees) > 0 && len(order) == 0 {
		return withHint(usagef("--to needs the wallets that the key may spend from"), "--from-wallet USD")
	}
	for _, c := range order {
		key.Limits = append(key.Limits, *limits[c])
	}
	if len(o.payees) > 0 {
		key.Payees = &o.payees
	}
	return nil
}

// parseLimit parses an amount with its currency, with or without a space: "50USD", "12.50 EUR".
func parseLimit(flag, text string) (money.Amount, error) {
	number, code := splitCurrency(text)
	if code == "" {
		return money.Amount{}, usagef("%s %q has no currency: write it as %sUSD", flag, text, number)
	}
	currency, err := parseCurrency(code)
	if err != nil {
		return money.Amount{}, err
	}
	amount, err := money.Parse(number, currency)
	if err != nil {
		return money.Amount{}, usagef("%s %q: %w", flag, text, err)
	}
	return amount, nil
}

// limitsOf describes the limits of a key in one text.
func limitsOf(k client.APIKey) string {
	var all []string
	for _, l := range k.Limits {
		var parts []string
		if l.MaxPerTransfer != nil {
			parts = append(parts, amountOf(*l.MaxPerTransfer, l.Currency)+" each")
		}
		if l.MaxPerDay != nil {
			spent := int64(0)
			if l.SpentToday != nil {
				spent = *l.SpentToday
			}
			parts = append(parts, amountOf(spent, l.Currency)+" of "+amountOf(*l.MaxPerDay, l.Currency)+" spent today")
		}
		if len(parts) == 0 {
			parts = []string{l.Currency}
		}
		all = append(all, strings.Join(parts, ", "))
	}
	return strings.Join(append(all, k.Payees...), "; ")
}
