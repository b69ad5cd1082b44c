package main

import (
	"context"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/internal/printable"
)

// loginWithKey stores an API key from stdin in place of a session, after the server has accepted
// it. A session that is stored is ended.
func loginWithKey(ctx context.Context, opts *loginOptions) error {
	a := opts.app
	found, err := a.credential()
	if err != nil {
		return err
	}
	if !apikey.Is(found.token) {
		return usagef("%s has no API key to store", found.origin)
	}
	if err := a.confirmServer(ctx); err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	keyed, err := a.kizoWith(found, config)
	if err != nil {
		return err
	}
	user, err := keyed.Me(ctx)
	if err != nil {
		return err
	}
	if name := strings.ToLower(strings.TrimPrefix(opts.name, "@")); name != "" && name != user.Handle && name != strings.ToLower(user.Email) {
		return usagef("the API key belongs to @%s, not to %s", printable.Text(user.Handle), printable.Text(opts.name))
	}
	replaced, err := a.confirmReplace(ctx, user.Handle, opts.replace)
	if err != nil {
		return err
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return err
	}
	var before client.Credentials
	err = stored.Update(ctx, func(held client.Credentials) (client.Credentials, error) {
		before = held
		return client.Credentials{AccessToken: found.token, User: user}, nil
	})
	if err != nil {
		return err
	}
	if replaced.AccessToken == "" && before.User.Id == user.Id {
		a.endReplaced(ctx, config.Server.Value, before)
	}
	return a.printLoggedIn(ctx, opts.output, user, replaced)
}
