package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// payLimits are the limits that the rows of a payout have to keep: those of the wallets, and those
// of the API key, if there is one.
type payLimits struct {
	key    *client.APIKey
	payees map[string]bool     // the handles that the key may pay; nil for all
	of     map[string]payLimit // by currency; without an entry, nothing limits it
	renews time.Time
}

// payLimit is the stricter of the limits in one currency. Amounts are minor units.
type payLimit struct {
	perTransfer, left     *int64 // nil: no maximum
	perTransferOf, leftOf string // whose limit that is
}

// readLimits reads the limits. A server that is older than limits of users has none.
func (c *payCheck) readLimits(ctx context.Context) error {
	var limits client.Limits
	err := c.insist(ctx, func() (err error) {
		limits, err = c.kizo.Limits(ctx)
		return err
	})
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	c.limits = newPayLimits(limits)
	return nil
}

func newPayLimits(limits client.Limits) payLimits {
	l := payLimits{of: make(map[string]payLimit), renews: limits.RenewsAt}
	for _, w := range limits.Items {
		l.restrict(w.Currency, w.MaxPerTransfer, w.MaxPerDay, w.SpentToday, "your own limit")
	}
	if limits.Key == nil || len(limits.Key.Limits) == 0 {
		return l
	}
	l.key = limits.Key
	for _, k := range limits.Key.Limits {
		spent := int64(0)
		if k.SpentToday != nil {
			spent = *k.SpentToday
		}
		l.restrict(k.Currency, k.MaxPerTransfer, k.MaxPerDay, spent, "the limit of the API key "+limits.Key.Name)
	}
	if len(limits.Key.Payees) > 0 {
		l.payees = make(map[string]bool)
		for _, payee := range limits.Key.Payees {
			l.payees[strings.TrimPrefix(payee, "@")] = true
		}
	}
	return l
}

// restrict adds a limit.
func (l *payLimits) restrict(currency string, perTransfer, perDay *int64, spent int64, whose string) {
	one := l.of[currency]
	if perTransfer != nil && (one.perTransfer == nil || *perTransfer < *one.perTransfer) {
		one.perTransfer, one.perTransferOf = perTransfer, whose
	}
	if perDay != nil {
		if left := max(*perDay-spent, 0); one.left == nil || left < *one.left {
			one.left, one.leftOf = &left, whose
		}
	}
	l.of[currency] = one
}

// whyNot returns why no row may pay an amount, or "".
func (l *payLimits) whyNot(amount money.Amount) string {
	one := l.of[string(amount.Currency)]
	if one.perTransfer == nil || amount.Minor <= *one.perTransfer {
		return ""
	}
	return fmt.Sprintf("%s is too much: %s allows at most %s for one transfer", amount, one.perTransferOf, amountOf(*one.perTransfer, string(amount.Currency)))
}

// whyNotPayee returns why the key may not pay a user, or "".
func (l *payLimits) whyNotPayee(handle string) string {
	if l.payees == nil || l.payees[strings.TrimPrefix(handle, "@")] {
		return ""
	}
	return fmt.Sprintf("the limits of the API key %s do not allow this payee", l.key.Name)
}

// checkLimits compares the totals with what is left today.
func (c *payCheck) checkLimits() error {
	c.plan.left = make(map[string]int64)
	for _, currency := range money.Currencies() {
		code := string(currency)
		sum, needed := c.plan.sum[code]
		if !needed {
			continue
		}
		beyond := func(format string, args ...any) error {
			return withHint(&exitError{exit: exitRefused, code: string(client.LimitExceeded), err: fmt.Errorf("nothing was paid: "+format, args...)}, "kizo limits show")
		}
		if c.limits.key != nil && !keyHas(c.limits.key, code) {
			return beyond("the limits of the API key %s allow no %s", c.limits.key.Name, code)
		}
		one := c.limits.of[code]
		if one.left == nil {
			continue
		}
		c.plan.left[code] = *one.left
		if sum-c.plan.maybePaid[code] > *one.left {
			return beyond("the rows need %s, and %s leaves %s until %s", amountOf(sum, code), one.leftOf, amountOf(*one.left, code), c.limits.renews.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func keyHas(key *client.APIKey, currency string) bool {
	for _, limit := range key.Limits {
		if limit.Currency == currency {
			return true
		}
	}
	return false
}
