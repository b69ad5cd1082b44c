package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/user"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/pgerr"
)

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Look after users",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(grantCommand(), verifyEmailCommand())
	return cmd
}

func grantCommand() *cobra.Command {
	var data, reason string
	cmd := &cobra.Command{
		Use:   "grant LOGIN ROLE",
		Short: "Give a user a role: user or operator",
		Long: `Give the user of that e-mail address or handle a role: user or operator.

It holds from the next request on, for sessions that are open too. Only the owner of
the tables may grant a role: the database is the one of --data, $KIZO_MIGRATE_URL,
$KIZO_DATABASE_URL, or the usual data of kizod dev, the first of them that is named.`,
		Example: "  kizod user grant @ada operator",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("say who and which role: kizod user grant LOGIN ROLE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			role := auth.Role(args[1])
			if role != auth.RoleUser && role != auth.RoleOperator {
				return usageError{fmt.Errorf("there is no role %q: there are user and operator", args[1])}
			}
			url, done, err := findDatabase(cmd, data, embedded.OwnerRole, migrateURL, databaseURL)
			if err != nil {
				return err
			}
			if err := errors.Join(withAuth(cmd.Context(), url, func(service *auth.Service) error {
				return service.Grant(cmd.Context(), args[0], role, commandReason("grant", reason))
			}), done()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s now\n", args[0], role)
			return err
		},
	}
	addSettings(cmd, migrateURL, databaseURL)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the log of operators' actions")
	cmd.Flags().StringVar(&data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	return cmd
}

// commandReason says who ran a command of kizod user, which knows no operator, and why.
func commandReason(command, reason string) string {
	by := "an unknown account"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	text := "kizod user " + command + ", run by " + by
	if host, err := os.Hostname(); err == nil {
		text += " on " + host
	}
	if reason != "" {
		text += ": " + reason
	}
	return text
}

func verifyEmailCommand() *cobra.Command {
	var data, reason string
	cmd := &cobra.Command{
		Use:   "verify-email HANDLE",
		Short: "Record that a user's e-mail address is theirs",
		Long: `Record that the e-mail address of the user of that handle is theirs, after you have made sure of it.

From then on others can pay the user by the address. Until then an address identifies nobody: several
users may have signed up with it. It is refused if another user has verified the same address.
Only the owner of the tables may record it: the database is found as by kizod user grant.`,
		Example: "  kizod user verify-email @ada --reason 'answered our mail of 3 March'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("say who: kizod user verify-email HANDLE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			url, done, err := findDatabase(cmd, data, embedded.OwnerRole, migrateURL, databaseURL)
			if err != nil {
				return err
			}
			var verified auth.User
			err = withAuth(cmd.Context(), url, func(service *auth.Service) (err error) {
				verified, err = service.VerifyEmail(cmd.Context(), args[0], commandReason("verify-email", reason))
				return err
			})
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s belongs to @%s now\n", verified.Email, verified.Handle)
			return err
		},
	}
	addSettings(cmd, migrateURL, databaseURL)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the log of operators' actions")
	cmd.Flags().StringVar(&data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	return cmd
}

// withAuth calls do with a service that neither signs nor hashes.
func withAuth(ctx context.Context, url string, do func(*auth.Service) error) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
	if err := migrations.CheckNotNewer(ctx, pool); err != nil {
		return err
	}
	// Nothing is signed or hashed here, so any keys do.
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	keys, err := auth.NewKeys(private)
	if err != nil {
		return err
	}
	peppers, err := auth.NewPeppers(auth.Pepper{ID: "none", Key: auth.NewSecret(private.Seed())})
	if err != nil {
		return err
	}
	service, err := auth.New(auth.Config{Pool: pool, Keys: keys, Peppers: peppers})
	if err != nil {
		return err
	}
	err = do(service)
	if pgerr.IsForbidden(err) {
		return fmt.Errorf("%w: only the owner of the tables may do this, so set $KIZO_MIGRATE_URL as for kizod migrate", err)
	}
	return err
}
