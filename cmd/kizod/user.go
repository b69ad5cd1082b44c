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
		Short: "Change users",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(grantCommand(), verifyEmailCommand(), resetPasswordCommand(), removeSecondFactorCommand())
	return cmd
}

func grantCommand() *cobra.Command {
	var data, reason string
	cmd := &cobra.Command{
		Use:   "grant LOGIN ROLE",
		Short: "Give a user a role: user or operator",
		Long: `Give the user with that e-mail address or handle a role: user or operator.

The role applies from the next request on, also in open sessions. An operator without a second factor
can do nothing as an operator but add one: kizo second-factor add. Only the owner of the
tables may grant a role. The database is the first of these that is set: --data,
$KIZO_MIGRATE_URL, $KIZO_DATABASE_URL; otherwise the default data of kizod dev.`,
		Example: "  kizod user grant @ada operator",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("a login and a role are required: kizod user grant LOGIN ROLE")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			role := auth.Role(args[1])
			if role != auth.RoleUser && role != auth.RoleOperator {
				return usageError{fmt.Errorf("there is no role %q; choose user or operator", args[1])}
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
			next := ""
			if role == auth.RoleOperator {
				next = "; operators can do nothing before they have a second factor: kizo second-factor add"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s now%s\n", args[0], role, next)
			return err
		},
	}
	addSettings(cmd, migrateURL, databaseURL)
	cmd.Flags().StringVar(&reason, "reason", "", "reason, for the log of operators' actions")
	cmd.Flags().StringVar(&data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	return cmd
}

// commandReason returns the reason to record for a command of kizod user. It names the Unix user,
// since the command has no logged-in operator.
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
		Short: "Record that a user owns their e-mail address",
		Long: `Record that the user with that handle owns their e-mail address, after you have verified it.

From then on other users can pay the user by the address. Before that, an address does not
identify a user: several may have signed up with it. The command fails if another user has
verified the same address. Only the owner of the tables may run it; the database is chosen as
by kizod user grant.`,
		Example: "  kizod user verify-email @ada --reason 'answered our mail of 3 March'",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("a handle is required: kizod user verify-email HANDLE")}
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
	cmd.Flags().StringVar(&reason, "reason", "", "reason, for the log of operators' actions")
	cmd.Flags().StringVar(&data, "data", "", "data of a kizod dev (default $XDG_DATA_HOME/kizo)")
	return cmd
}

// withAuth calls do with a service that cannot sign or hash.
func withAuth(ctx context.Context, url string, do func(*auth.Service) error) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return errors.New("connect to the database: its URL cannot be read")
	}
	defer pool.Close()
	if err := migrations.CheckNotNewer(ctx, pool); err != nil {
		return err
	}
	// Nothing is signed or hashed here, so the keys do not matter.
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
