package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
)

func resetPasswordCommand() *cobra.Command {
	var (
		data, reason string
		expires      time.Duration
	)
	cmd := &cobra.Command{
		Use:   "reset-password LOGIN",
		Short: "End a user's password, and print a code with which the user chooses another one",
		Long: `End the password and all sessions of a user, and print a reset code.

Before you run it, make sure that the person who asks is the user. Give the code to the user, and
to no other person: with it, anyone can choose a password for the account. It works once, with:
kizo password reset LOGIN. An earlier code of the user is void. API keys stay valid.

Only the owner of the tables may run it; the database is chosen as by kizod user grant.`,
		Example: "  kizod user reset-password @ada --reason 'showed a passport'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("a login is required: kizod user reset-password LOGIN")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return printResetCode(cmd, data, expires, func(service *auth.Service) (auth.ResetCode, error) {
				return service.IssueResetCode(cmd.Context(), args[0], expires, commandReason("reset-password", reason))
			})
		},
	}
	addSettings(cmd, migrateURL, databaseURL)
	cmd.Flags().StringVar(&reason, "reason", "", "reason, for the log of operators' actions")
	addResetCodeFlags(cmd, &data, &expires)
	return cmd
}

func removeSecondFactorCommand() *cobra.Command {
	var (
		data, reason string
		expires      time.Duration
	)
	cmd := &cobra.Command{
		Use:   "remove-second-factor LOGIN",
		Short: "Remove the second factor of a user who has lost the app and the recovery codes",
		Long: `Remove the second factor and the recovery codes of a user, end the password and all sessions, and print a reset
code, as kizod user reset-password does. With the code the user chooses another password and logs in
without a second factor: kizo password reset LOGIN, kizo second-factor add.

With a second factor, neither a stolen password nor a stolen mailbox opens the account; this command does.
Make sure that the person who asks is the user, by more than what a thief of the mailbox knows, and have
a second person look at it: the person who runs this command owns the
database, so Kizo itself asks for none.
The amounts of kizo step-up set end as well. API keys stay valid.

Only the owner of the tables may run it; the database is chosen as by kizod user grant.`,
		Example: "  kizod user remove-second-factor @ada --reason 'showed a passport, phone was stolen, checked by olga'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("a login is required: kizod user remove-second-factor LOGIN")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usageError{errors.New("a reason is required: --reason 'showed a passport'")}
			}
			return printResetCode(cmd, data, expires, func(service *auth.Service) (auth.ResetCode, error) {
				return service.RemoveLostSecondFactor(cmd.Context(), args[0], expires, commandReason("remove-second-factor", reason))
			})
		},
	}
	addSettings(cmd, migrateURL, databaseURL)
	cmd.Flags().StringVar(&reason, "reason", "", "reason, for the log of operators' actions; required")
	addResetCodeFlags(cmd, &data, &expires)
	return cmd
}

// addResetCodeFlags adds the flags of commands that print a reset code.
func addResetCodeFlags(cmd *cobra.Command, data *string, expires *time.Duration) {
	cmd.Flags().StringVar(data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	cmd.Flags().DurationVar(expires, "expires", 24*time.Hour, "how long the code is valid, at most 168h")
}

// printResetCode prints the code that issue returns on stdout, and what the user does with it on
// stderr.
func printResetCode(cmd *cobra.Command, data string, expires time.Duration, issue func(*auth.Service) (auth.ResetCode, error)) error {
	if expires < time.Minute || expires > auth.MaxResetCodeLife {
		return usageError{fmt.Errorf("--expires is from 1m to %v", auth.MaxResetCodeLife)}
	}
	url, done, err := findDatabase(cmd, data, embedded.OwnerRole, migrateURL, databaseURL)
	if err != nil {
		return err
	}
	var reset auth.ResetCode
	err = withAuth(cmd.Context(), url, func(service *auth.Service) (err error) {
		reset, err = issue(service)
		return err
	})
	if err := errors.Join(err, done()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d sessions ended; %d API keys stay valid. @%s must choose another password before %s: kizo password reset %s\n",
		reset.SessionsEnded, reset.APIKeys, reset.Handle, reset.ExpiresAt.Format("2006-01-02 15:04 UTC"), reset.Handle)
	_, err = fmt.Fprintln(cmd.OutOrStdout(), reset.Code)
	return err
}
