package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// amountOptions is an amount as it is typed: "12.50", "12.50 EUR", "12.50EUR", or 12.50 with
// --currency.
type amountOptions struct {
	words    []string // AMOUNT, or AMOUNT and CURRENCY
	currency string   // --currency
}

func (o *amountOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.currency, "currency", "", "ISO 4217 code; yours if you have one wallet (KIZO_CURRENCY)")
}

// parse parses the amount. If no currency is given, it may request the wallets from the server.
func (o *amountOptions) parse(ctx context.Context, a *app, kizo *client.Client) (money.Amount, error) {
	text := o.words[0]
	typed := o.words[1:]
	if number, code, both := strings.Cut(text, " "); both && len(typed) == 0 {
		text, typed = number, []string{strings.TrimSpace(code)}
	}
	if number, code := splitCurrency(text); len(typed) == 0 && number != "" && len(code) == currencyLength {
		text, typed = number, []string{code}
	}
	if o.currency != "" {
		typed = append(typed, o.currency)
	}
	if err := checkNumber(text); err != nil {
		return money.Amount{}, a.amountError(err, o.words[0], text)
	}
	var currency money.Currency
	for _, code := range typed {
		c, err := parseCurrency(code)
		if err != nil {
			return money.Amount{}, err
		}
		if currency != "" && currency != c {
			return money.Amount{}, usagef("the currency is given twice: %s and %s", currency, c)
		}
		currency = c
	}
	if currency == "" {
		var err error
		if currency, err = a.defaultCurrency(ctx, kizo); err != nil {
			return money.Amount{}, err
		}
	}
	amount, err := money.Parse(text, currency)
	return amount, a.amountError(err, o.words[0], text)
}

const currencyLength = 3

// splitCurrency splits an amount such as 12.50EUR or "12.50 EUR" before the letters at its end.
func splitCurrency(text string) (number, code string) {
	number = strings.TrimRight(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	return strings.TrimSpace(number), text[len(number):]
}

// checkNumber rejects what is not an amount in any currency, before any request.
func checkNumber(text string) error {
	_, err := money.Parse(text, "CLF") // no currency has more decimals
	if wrong, ok := errors.AsType[*money.Error](err); ok && wrong.Code == money.CodeMalformed {
		return err
	}
	return nil
}

// amountError adds the whole command line with a valid amount.
func (a *app) amountError(err error, word, text string) error {
	wrong, ok := errors.AsType[*money.Error](err)
	if !ok || len(wrong.Try) == 0 {
		return err
	}
	var lines []string
	for _, better := range wrong.Try {
		lines = append(lines, a.retyped(word, strings.Replace(word, text, better, 1)))
	}
	return withHint(err, lines...)
}

// defaultCurrency returns the configured currency, or that of the only wallet.
func (a *app) defaultCurrency(ctx context.Context, kizo *client.Client) (money.Currency, error) {
	config, err := a.config()
	if err != nil {
		return "", err
	}
	if config.Currency.Value != "" {
		return money.Currency(config.Currency.Value), nil
	}
	wallets, err := kizo.Wallets(ctx)
	if err != nil {
		return "", err
	}
	if len(wallets) == 1 {
		return money.Currency(wallets[0].Currency), nil
	}
	if len(wallets) == 0 {
		return "", withHint(usagef("the amount needs a currency: you have no wallet yet"), "kizo wallet open CURRENCY")
	}
	var lines []string
	for _, w := range wallets {
		lines = append(lines, a.commandLine()+" --currency "+shellQuote(w.Currency))
	}
	return "", withHint(usagef("the amount needs a currency: you have %d wallets and no default wallet", len(wallets)),
		append(lines, defaultWalletLines(wallets)...)...)
}

// defaultWalletLines returns the commands that make one of the wallets the default.
func defaultWalletLines(wallets []client.Wallet) []string {
	var lines []string
	for _, w := range wallets {
		lines = append(lines, "kizo config set currency "+shellQuote(w.Currency))
	}
	return lines
}

// offerDefaultWallet says how to choose a default wallet, to a user who has several and no default.
// Its failure is not an error.
func (a *app) offerDefaultWallet(ctx context.Context, kizo *client.Client) {
	config, err := a.config()
	if err != nil || config.Currency.Value != "" || a.json {
		return
	}
	wallets, err := kizo.Wallets(ctx)
	if err != nil || len(wallets) < 2 {
		return
	}
	a.io.note("You have %d wallets. To choose the default for amounts without a currency:", len(wallets))
	for _, line := range defaultWalletLines(wallets) {
		a.io.note("  %s", line)
	}
}

// amountOf formats an amount from the server.
func amountOf(minor int64, currency string) string {
	return money.Format(minor, money.Currency(currency))
}
