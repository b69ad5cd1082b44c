package main

import (
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newWithdrawCommand(a *app) *cobra.Command {
	return newBankCommand(a, &bankOptions{build: client.NewWithdrawal, verb: "withdraw"}, &cobra.Command{
		Use:   "withdraw AMOUNT [CURRENCY]",
		Short: "Withdraw money to your bank",
		Long: `Withdraw money to your bank. The amount is held until the bank has answered.

kizo waits for it, 5 seconds unless --wait says otherwise, and exits with
  0  when the money has left
  3  when it was refused, by Kizo or by the bank; the hold is released
  8  when the bank has not answered yet: the withdrawal continues, and kizo transfers show ID shows its state
With --wait=0 it does not wait, and 0 means that the withdrawal was accepted.`,
		Example: `  kizo withdraw 20
  kizo withdraw 20 EUR --wait=30s`,
	})
}
