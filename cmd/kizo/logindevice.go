package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/JDevAman/kizo/client"
)

// deviceCode is what kizo login --device prints on stderr with --json, for scripts that show it in
// a way of their own.
type deviceCode struct {
	UserCode  string    `json:"user_code"`
	ExpiresAt time.Time `json:"expires_at"`
	Approve   string    `json:"approve"` // the command to run elsewhere
}

// loginWithDevice logs in without a password: a user who is logged in elsewhere approves.
func loginWithDevice(ctx context.Context, opts *loginOptions) error {
	a := opts.app
	if opts.password.stdin || opts.otp.stdin {
		return usagef("--device asks for no password and no code: leave out --password-stdin and --otp-stdin")
	}
	if err := a.beforePassword(ctx); err != nil {
		return err
	}
	config, err := a.config()
	if err != nil {
		return err
	}
	name := opts.name
	if name == "" {
		name = config.User.Value
	}
	var replaced client.Credentials
	switch {
	case name != "":
		replaced, err = a.confirmReplace(ctx, name, opts.replace)
	case opts.replace:
		replaced, err = a.replaceAny(ctx)
	}
	if err != nil {
		return err
	}
	if handle := strings.ToLower(strings.TrimPrefix(name, "@")); handle != "" && !strings.Contains(handle, "@") && !opts.replace {
		a.stores[config.Server.Value].owner = handle // who approves is known only afterwards
	}
	kizo, err := a.kizo()
	if err != nil {
		return err
	}
	begun, err := kizo.BeginDeviceLogin(ctx)
	if err != nil {
		return err
	}
	if err := a.showDeviceCode(begun); err != nil {
		return err
	}
	user, err := kizo.AwaitDeviceLogin(ctx, begun)
	if err != nil {
		return err
	}
	return a.printLoggedIn(ctx, opts.output, user, replaced)
}

// replaceAny lets the log-in replace the session of any user, and returns that session.
func (a *app) replaceAny(ctx context.Context) (client.Credentials, error) {
	config, err := a.config()
	if err != nil {
		return client.Credentials{}, err
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return client.Credentials{}, err
	}
	a.replaceSession, stored.replace = true, true
	return stored.Load(ctx)
}

// showDeviceCode prints the user code on stderr, since stdout is for the user who has logged in.
func (a *app) showDeviceCode(d client.DeviceLogin) error {
	approve := "kizo approve " + d.UserCode
	if a.json {
		text, err := json.Marshal(deviceCode{d.UserCode, a.now().Add(time.Duration(d.ExpiresIn) * time.Second).UTC().Truncate(time.Second), approve})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.io.Err, "%s\n", text)
		return err
	}
	a.io.note(`To log in here, type this on a computer where you are logged in to Kizo:

  %s

or press A in its dashboard, and type %s. The code is valid for %s. Give it to no other person.
Waiting for the approval ...`, approve, d.UserCode, plural(d.ExpiresIn/60, "minute", "minutes"))
	return nil
}
