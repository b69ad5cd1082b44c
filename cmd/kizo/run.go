package main

import (
	"context"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/trace"
)

// app is what every command receives: its environment, without globals.
type app struct {
	io   *streams
	env  func(string) string
	now  func() time.Time
	args []string // the command line, for hints that correct it
	root *cobra.Command

	serverFlag, configFlag, caFileFlag string
	contextFlag, confirmFlag           string
	storeFlag                          string // the credential store

	insecureFlag bool
	keyStdinFlag bool
	otpStdin     bool // see addStepUpFlag
	verbose      bool
	json         bool // the user asked for JSON, so errors are JSON too

	color   string       // auto, always or never
	format  format       // that the user has chosen; empty if none
	outputs []documented // what the commands print

	payeeAlias, payeeHandle string // of the payee, if the user typed an alias

	loaded         *config                  // see config()
	authenticated  *credential              // see credential()
	stores         map[string]*sessionStore // see sessions()
	replaceSession bool                     // the user lets a log-in replace the session of another user
	http           *http.Client             // see httpClient()
	changed        *atomic.Bool             // a request that may change something was sent
}

// run is the program: main calls it, and so do tests.
func run(args []string, io *streams, env func(string) string) int {
	ctx, stop := untilInterrupted()
	defer stop()
	a := &app{io: io, env: env, now: time.Now, args: args, json: asksForJSON(args), changed: new(atomic.Bool)}
	return a.execute(ctx)
}

// untilInterrupted returns a context that the first SIGINT or SIGTERM cancels; the second one ends
// the process. The signals have their default effect again before the context is canceled, so that
// a second one is never lost while a command stops. The caller must call stop.
func untilInterrupted() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

func (a *app) execute(ctx context.Context) int {
	out := &stdout{Writer: a.io.Out}
	if isCompletion(a.args) {
		out.Writer = withoutFiles{a.io.Out}
	}
	tracked := *a.io
	tracked.Out = out
	a.io = &tracked
	root := newRootCommand(a)
	a.root = root
	done, err := a.otherCommand(root)
	a.joinValues()
	root.SetArgs(a.args)
	if err == nil && !done {
		err = noSuchHelp(root, a.args)
	}
	if err == nil && !done {
		err = root.ExecuteContext(trace.Into(ctx, a.trace()))
	}
	if exitCode(err) == exitUsage {
		if line := a.spaceHint(); line != "" {
			err = withHint(err, line)
		}
	}
	if err == nil {
		err = unwritten(out.err)
	}
	if err != nil && !a.readerLeft(err) {
		a.report(err)
	}
	return exitCode(err)
}

// trace is what all requests of this command are one step each of: the caller's, if it runs in one.
func (a *app) trace() trace.Context {
	if callers, ok := trace.Parse(a.env("TRACEPARENT")); ok {
		return callers
	}
	return trace.New()
}

// kizo is the configured server, as the user of the credential or of the stored session.
func (a *app) kizo() (*client.Client, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	found, err := a.credential()
	if err != nil {
		return nil, err
	}
	if found.origin == "" {
		return a.kizoInSession(config.Server.Value)
	}
	return a.kizoWith(found, config)
}

func (a *app) kizoAt(server string, tokens client.TokenStore) (*client.Client, error) {
	if err := a.checkTransport(server); err != nil {
		return nil, err
	}
	http, err := a.httpClient()
	if err != nil {
		return nil, err
	}
	devices, _ := tokens.(client.DeviceTokens)
	kizo, err := client.New(client.Config{Server: server, Tokens: tokens, Devices: devices, HTTPClient: http, UserAgent: userAgentHere(), StepUp: a.stepUp})
	if err != nil {
		return nil, usage(err)
	}
	return kizo, nil
}

// kizoInSession is a server as the user of the stored session.
func (a *app) kizoInSession(server string) (*client.Client, error) {
	stored, err := a.sessions(server)
	if err != nil {
		return nil, err
	}
	return a.kizoAt(server, stored)
}

// sessions is where the active context keeps the session for a server.
func (a *app) sessions(server string) (*sessionStore, error) {
	if stored := a.stores[server]; stored != nil {
		if a.replaceSession {
			stored.replace = true
		}
		return stored, nil
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	stored := newSessionStore(state, server)
	if stored.vault, err = config.vaultOf(stored); err != nil {
		return nil, err
	}
	if a.stores == nil {
		a.stores = map[string]*sessionStore{}
	}
	a.stores[server] = stored
	stored.owner, stored.replace = config.User.Value, a.replaceSession
	stored.reject = func(ctx context.Context, c client.Credentials) {
		if kizo, err := a.kizoAt(server, client.StaticToken(c.AccessToken)); err == nil {
			_ = kizo.LogOut(ctx) // otherwise it expires
		}
	}
	return stored, nil
}
