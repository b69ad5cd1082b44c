package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/printable"
)

// confirmReplace asks before a log-in replaces the session of another user than name, which is a
// handle or an e-mail address. It returns the session that will be replaced; empty if there is
// none. Which user an e-mail address belongs to is known only after the log-in: checkUser of the
// session decides then.
func (a *app) confirmReplace(ctx context.Context, name string, replace bool) (client.Credentials, error) {
	var none client.Credentials
	config, err := a.config()
	if err != nil {
		return none, err
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return none, err
	}
	held, err := stored.Load(ctx)
	if err != nil {
		return none, err
	}
	name = strings.ToLower(strings.TrimPrefix(name, "@"))
	owner, open := config.User.Value, held.AccessToken != ""
	if owner == "" && open {
		owner = held.User.Handle
	}
	same := owner == "" || name == owner || open && owner == held.User.Handle && name == strings.ToLower(held.User.Email)
	if !open {
		held = none
	}
	switch {
	case same || strings.Contains(name, "@") && !open && !replace:
		return none, nil
	case replace:
	case a.io.ReadLine != nil:
		a.io.note("The context %s is for @%s at %s.", config.Context.Value, printable.Text(owner), printable.Text(config.Server.Value))
		answer, err := a.io.ReadLine(ctx, fmt.Sprintf("Log in as %s in its place? Type yes: ", printable.Text(name)))
		if err != nil {
			return none, err
		}
		if !saysYes(answer) {
			return none, usagef("nothing was changed: the context %s is still for @%s", config.Context.Value, owner)
		}
	default:
		return none, withHint(usagef("the context %s is for @%s: a log-in as %s would replace that session", config.Context.Value, owner, name),
			a.commandLine()+" --replace", "kizo context add NAME --server "+shellQuote(config.Server.Value))
	}
	a.replaceSession = true
	return held, nil
}

// printLoggedIn prints the user of a new session. If it replaced the session of another user, that
// one is ended, and the context is now for the new user.
func (a *app) printLoggedIn(ctx context.Context, flags outputFlags, user client.User, replaced client.Credentials) error {
	a.learn(func(*knowledge) {}) // what another user did here is not offered any more
	config, err := a.config()
	if err != nil {
		return err
	}
	if replaced.AccessToken != "" && replaced.User.Id != user.Id {
		a.endReplaced(ctx, config.Server.Value, replaced)
	}
	if a.replaceSession && config.User.Value != "" && config.User.Value != user.Handle {
		if err := editConfig(config.User.Origin, "user", user.Handle); err != nil {
			return err
		}
	}
	return a.printUser(flags, user)
}

// endReplaced ends a session that is no longer stored. An API key stays valid.
func (a *app) endReplaced(ctx context.Context, server string, replaced client.Credentials) {
	if replaced.AccessToken == "" {
		return
	}
	kizo, err := a.kizoAt(server, &replacedSession{replaced})
	if err == nil {
		err = kizo.LogOut(ctx)
	}
	if err != nil && !a.json {
		a.io.note("The session of @%s could not be ended on the server, and is no longer stored here.", printable.Text(replaced.User.Handle))
	}
}

// replacedSession has the tokens of a session that is no longer stored, until it is ended.
type replacedSession struct{ held client.Credentials }

func (r *replacedSession) Load(context.Context) (client.Credentials, error) { return r.held, nil }

func (r *replacedSession) Update(_ context.Context, change func(client.Credentials) (client.Credentials, error)) (err error) {
	r.held, err = change(r.held)
	return err
}

func (r *replacedSession) Clear(context.Context) error {
	r.held = client.Credentials{}
	return nil
}
