package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/user"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/embedded"
)

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Look after users",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(grantCommand())
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
			if err := errors.Join(grant(cmd.Context(), url, args[0], role, grantReason(reason)), done()); err != nil {
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

// grantReason says who ran the command, which knows no operator, and why.
func grantReason(reason string) string {
	by := "an unknown account"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	text := "kizod user grant, run by " + by
	if host, err := os.Hostname(); err == nil {
		text += " on " + host
	}
	if reason != "" {
		text += ": " + reason
	}
	return text
}

func grant(ctx context.Context, url, who string, role auth.Role, reason string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
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
	err = service.Grant(ctx, who, role, reason)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42501" { // insufficient_privilege
		return fmt.Errorf("%w: only the owner of the tables may grant a role, so set $KIZO_MIGRATE_URL as for kizod migrate", err)
	}
	return err
}
