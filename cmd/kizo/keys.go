package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
)

func newKeysCommand(a *app) *cobra.Command {
	group := newGroup("keys", "API keys for scripts",
		newKeysCreateCommand(a), newKeysListCommand(a), newKeysRotateCommand(a), newKeysRevokeCommand(a))
	group.Long = apiKeysHelp // also what kizo help api-keys shows
	return group
}

// secretOptions are those of the commands that make a secret.
type secretOptions struct {
	password passwordOptions
	otp      otpOptions
	expires  string
	file     string
}

func (o *secretOptions) addTo(cmd *cobra.Command) {
	o.password.addTo(cmd)
	o.otp.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.expires, "expires", "90d", "when the secret expires: a time from now such as 90d or 12h, or RFC 3339; at most 366d")
	flags.StringVar(&o.file, "secret-file", "", "write the secret to this new file, which only you can read, instead of stdout")
}

// life returns the number of seconds until the secret expires.
func (o *secretOptions) life(a *app) (*int, error) {
	seconds, err := a.secondsFromNow("--expires", o.expires)
	if err == nil && *seconds < 1 {
		err = usagef("--expires %q is not in the future", o.expires)
	}
	return seconds, err
}

// secondsFromNow parses a time from now, or a time, and returns the seconds until then.
func (a *app) secondsFromNow(flag, text string) (*int, error) {
	now := a.now()
	at, err := parseExpiry(text, now)
	if err != nil {
		return nil, usagef("%s %q is not a time from now: use for example 12h, 7d or %s", flag, text, now.Add(48*time.Hour).UTC().Format(time.RFC3339))
	}
	seconds := max(int(math.Round(at.Sub(now).Seconds())), 0)
	return &seconds, nil
}

// createdKey is the output of --json: the key and its secret in one object.
type createdKey struct {
	client.APIKey
	Secret string `json:"secret,omitempty"`
}

// makeSecret reads the password, calls do, and shows or stores the secret that it returns. A file
// is created before, so that no secret is made that could not be stored.
func (a *app) makeSecret(ctx context.Context, opts *secretOptions, flags outputFlags, do func(password, otp string) (client.APIKeySecret, error)) error {
	password, err := opts.password.read(ctx, a, false)
	if err != nil {
		return err
	}
	var file *os.File
	if opts.file != "" {
		if file, err = openPrivate(opts.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY); err != nil {
			return usagef("--secret-file: %w", err)
		}
		defer file.Close()
	}
	var made client.APIKeySecret
	err = opts.otp.with(ctx, a, func(otp string) (err error) {
		made, err = do(password, otp)
		return err
	})
	if err != nil {
		if file != nil {
			_ = os.Remove(opts.file)
		}
		return err
	}
	shown := createdKey{made.Key, made.Secret}
	if file != nil {
		shown.Secret = ""
		if err := storeSecret(file, made.Secret); err != nil {
			return withHint(fmt.Errorf("the secret was made and not stored: %w", err), "kizo keys rotate "+made.Key.Name+" --overlap 0s")
		}
	}
	return a.showSecret(flags, opts, shown)
}

func storeSecret(file *os.File, secret string) error {
	if _, err := file.WriteString(secret + "\n"); err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

var secretColumns = []column{{title: "SECRET"}, {title: "NAME"}, {title: "ID", id: true}, {title: "SCOPES"}, {title: "EXPIRES"},
	{title: "NETWORKS"}, {title: "EARLIER SECRET ENDS"}}

func (a *app) showSecret(flags outputFlags, opts *secretOptions, made createdKey) error {
	row := []string{made.Secret, made.Name, made.Id.String(), strings.Join(made.Scopes, ","), a.when(made.ExpiresAt),
		strings.Join(made.Networks, ","), a.whenever(made.OverlapEndsAt)}
	if err := a.printOne(flags, made, secretColumns, row); err != nil {
		return withHint(err, "kizo keys rotate "+made.Name+" --overlap 0s")
	}
	if opts.file != "" {
		a.io.note("The secret is in %s.", opts.file)
	} else {
		a.io.note("Store the secret now: it is not shown again.")
	}
	return nil
}

type keysCreateOptions struct {
	app      *app
	output   outputFlags
	secret   secretOptions
	name     string
	scopes   []string
	networks []string
	limits   limitOptions
}

func newKeysCreateCommand(a *app) *cobra.Command {
	opts := &keysCreateOptions{app: a}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create an API key",
		Long: `Create an API key. Its secret is shown once.

Your password is needed, because a key outlives your session.`,
		Example: `  kizo keys create --name reports --scope read
  kizo keys create --name payroll --scope read,transfers:write --expires 30d --ip 203.0.113.0/24
  kizo keys create --name lunch --scope read,transfers:write --max-per-transfer 50USD --max-per-day 500USD --to @bob
  kizo keys create --name cron --scope read --secret-file cron.key --password-stdin < password.txt`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return keysCreateRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, createdKey{}, secretColumns...)
	opts.secret.addTo(cmd)
	opts.limits.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&opts.name, "name", "", "the name of the key: letters, digits, dots, dashes and underscores")
	flags.StringSliceVar(&opts.scopes, "scope", nil, "what the key may do: "+strings.Join(keyScopes, ", "))
	flags.StringSliceVar(&opts.networks, "ip", nil, "addresses and networks (CIDR) that the key works from (default: all)")
	_ = cmd.RegisterFlagCompletionFunc("scope", completeList(keyScopes))
	return cmd
}

// keyScopes are the scopes that this version knows; the server decides.
var keyScopes = []string{"read", "transfers:write", "bank:write", "ops:read", "ops:write"}

func keysCreateRun(ctx context.Context, opts *keysCreateOptions) error {
	a := opts.app
	switch {
	case opts.name == "":
		return withHint(usagef("a key needs a name"), a.commandLine()+" --name NAME")
	case len(opts.scopes) == 0:
		return withHint(usagef("a key needs a scope: %s", strings.Join(keyScopes, ", ")), a.commandLine()+" --scope read")
	}
	life, err := opts.secret.life(a)
	if err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	key := client.APIKeyCreate{Name: opts.name, Scopes: opts.scopes, ExpiresIn: life}
	if len(opts.networks) > 0 {
		key.Networks = &opts.networks
	}
	if err := opts.limits.apply(&key); err != nil {
		return err
	}
	return a.makeSecret(ctx, &opts.secret, opts.output, func(password, otp string) (client.APIKeySecret, error) {
		key.Password, key.Otp = password, otp
		return kizo.CreateAPIKey(ctx, key)
	})
}

type keysListOptions struct {
	app    *app
	output outputFlags
}

func newKeysListCommand(a *app) *cobra.Command {
	opts := &keysListOptions{app: a}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your API keys",
		Example: `  kizo keys list
  kizo keys list --jq '.[] | select(.state == "active") | .name'`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return keysListRun(cmd.Context(), opts) },
	}
	opts.output.addTo(cmd, a, client.APIKey{}, keyColumns...)
	return cmd
}

func keysListRun(ctx context.Context, opts *keysListOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	keys, err := kizo.APIKeys(ctx)
	if err != nil {
		return err
	}
	opts.app.learn(func(k *knowledge) { k.setAPIKeys(keys) })
	return opts.app.printKeys(opts.output, keys)
}

var keyColumns = []column{{title: "NAME"}, {title: "STATE"}, {title: "SCOPES"}, {title: "EXPIRES"}, {title: "LAST USED"},
	{title: "ADDRESS", drop: 2}, {title: "NETWORKS", drop: 3, sparse: true}, {title: "ID", drop: 1, id: true}, {title: "LIMITS", cut: true, drop: 4, sparse: true}}

func (a *app) printKeys(flags outputFlags, keys []client.APIKey) error {
	var rows [][]string
	for _, k := range keys {
		rows = append(rows, []string{k.Name, k.State, strings.Join(k.Scopes, ","), a.when(k.ExpiresAt), a.whenever(k.LastUsedAt),
			text(k.LastAddress), strings.Join(k.Networks, ","), k.Id.String(), limitsOf(k)})
	}
	return a.printList(flags, keys, keyColumns, rows)
}

type keysRotateOptions struct {
	app     *app
	output  outputFlags
	secret  secretOptions
	key     string
	overlap string
}

func newKeysRotateCommand(a *app) *cobra.Command {
	opts := &keysRotateOptions{app: a}
	cmd := &cobra.Command{
		Use:   "rotate KEY",
		Short: "Give an API key a new secret; the earlier one stays valid for a while",
		Long: `Give an API key, named by its name or id, a new secret, which is shown once. The earlier secret stays
valid for the time of --overlap, so that the scripts which use it can be changed one by one. After a leak,
use --overlap 0s.`,
		Example: `  kizo keys rotate payroll
  kizo keys rotate payroll --overlap 0s`,
		Args: takes("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.key = args[0]
			return keysRotateRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, createdKey{}, secretColumns...)
	opts.secret.addTo(cmd)
	cmd.Flags().StringVar(&opts.overlap, "overlap", "1d", "how long the earlier secret stays valid, such as 12h; at most 7d")
	return cmd
}

func keysRotateRun(ctx context.Context, opts *keysRotateOptions) error {
	a := opts.app
	life, err := opts.secret.life(a)
	if err != nil {
		return err
	}
	overlap, err := a.secondsFromNow("--overlap", opts.overlap)
	if err != nil {
		return err
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	id, err := findKey(ctx, kizo, opts.key)
	if err != nil {
		return err
	}
	return a.makeSecret(ctx, &opts.secret, opts.output, func(password, otp string) (client.APIKeySecret, error) {
		return kizo.RotateAPIKey(ctx, id, client.APIKeyRotate{ExpiresIn: life, Overlap: overlap, Password: password, Otp: otp})
	})
}

type keysRevokeOptions struct {
	app    *app
	output outputFlags
	key    string
}

// revokedKey is the output of --json: the API's answer has no body.
type revokedKey struct {
	ID string `json:"id"`
}

func newKeysRevokeCommand(a *app) *cobra.Command {
	opts := &keysRevokeOptions{app: a}
	cmd := &cobra.Command{
		Use:     "revoke KEY",
		Short:   "End an API key at once",
		Example: `  kizo keys revoke payroll`,
		Long:    "End an API key, named by its name or id. When the command returns, no server accepts the key any more.",
		Args:    takes("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.key = args[0]
			return keysRevokeRun(cmd.Context(), opts)
		},
	}
	opts.output.addTo(cmd, a, revokedKey{}, column{title: "ID", id: true})
	return cmd
}

func keysRevokeRun(ctx context.Context, opts *keysRevokeOptions) error {
	kizo, err := opts.app.kizo()
	if err != nil {
		return err
	}
	id, err := findKey(ctx, kizo, opts.key)
	if err != nil {
		return err
	}
	if err := kizo.RevokeAPIKey(ctx, id); err != nil {
		return err
	}
	return opts.app.printDone(opts.output, revokedKey{id.String()}, []string{id.String()}, func() {
		opts.app.io.note("Revoked the key %s.", opts.key)
	})
}

// findKey returns the id of a key that is named by its id or, if it is not revoked, by its name.
func findKey(ctx context.Context, kizo *client.Client, name string) (uuid.UUID, error) {
	if id, err := uuid.Parse(name); err == nil {
		return id, nil
	}
	keys, err := kizo.APIKeys(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	var names []string
	for _, k := range keys {
		if k.RevokedAt != nil {
			continue
		}
		if k.Name == name {
			return k.Id, nil
		}
		names = append(names, k.Name)
	}
	unknown := &exitError{exit: exitNotFound, code: string(client.KeyNotFound), err: fmt.Errorf("you have no key %q", name)}
	if near := nearestWord(name, names); near != "" {
		return uuid.Nil, &misspelled{unknown, name, near}
	}
	return uuid.Nil, withHint(unknown, "kizo keys list")
}
