package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/apikey"
)

func newAuthCommand(a *app) *cobra.Command {
	return newGroup("auth", "Who you are to the server, and where that is kept", newAuthStatusCommand(a))
}

// The methods of authentication, and the states of one.
const (
	methodSession = "session"
	methodKey     = "api_key"
	methodToken   = "token"
	methodNone    = "none"

	authAccepted  = "accepted"
	authRefused   = "refused"
	authNone      = "none"
	authUnchecked = "unchecked" // the server gave no answer
)

// authStatus describes how a command authenticates. It contains no secret.
type authStatus struct {
	Context        string     `json:"context"`
	ContextOrigin  string     `json:"context_origin"`
	Protected      bool       `json:"protected"`
	Server         string     `json:"server"`
	ServerOrigin   string     `json:"server_origin"`
	Method         string     `json:"method"` // session, api_key, token or none
	State          string     `json:"state"`  // accepted, refused, none or unchecked
	Handle         string     `json:"handle,omitempty"`
	UserID         string     `json:"user_id,omitempty"`
	Store          string     `json:"store"`                      // file, keyring or command of a session; environment, key_file or stdin
	KeptIn         string     `json:"kept_in"`                    // for people: "the file /home/ada/…", "KIZO_API_KEY"
	ExpiresAt      *time.Time `json:"expires_at,omitempty"`       // of the session, the key or the token
	TokenExpiresAt *time.Time `json:"token_expires_at,omitempty"` // of the session's access token, which is renewed
	Key            string     `json:"key,omitempty"`              // the name of the API key
	Scopes         []string   `json:"scopes,omitempty"`           // of the API key
	Notes          []string   `json:"notes"`
}

var authColumns = []column{{title: "STATE", state: true}, {title: "METHOD"}, {title: "USER"}, {title: "CONTEXT"}, {title: "SERVER"}, {title: "KEPT IN", free: true},
	{title: "EXPIRES"}, {title: "KEY"}, {title: "SCOPES"}, {title: "NOTES", free: true}}

func newAuthStatusCommand(a *app) *cobra.Command {
	var output outputFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how you are authenticated, and where that is kept",
		Long: `Show the context, the server, the user, and where the session or API key that commands use is kept. It asks
the server whether it is accepted, and exits with 4 if it is not, or if there is none. Secrets are never printed.`,
		Example: `  kizo auth status
  kizo auth status --json=context,handle,store,state`,
		Args: takes(""),
		RunE: func(cmd *cobra.Command, _ []string) error { return authStatusRun(cmd.Context(), a, output) },
	}
	output.addTo(cmd, a, authStatus{}, authColumns...)
	return cmd
}

func authStatusRun(ctx context.Context, a *app, flags outputFlags) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	found, err := a.credential()
	if err != nil {
		return err
	}
	stored, err := a.sessions(config.Server.Value)
	if err != nil {
		return err
	}
	s := &authStatus{
		Context: config.Context.Value, ContextOrigin: config.Context.Origin, Protected: config.Protected.Value == "true",
		Server: config.Server.Value, ServerOrigin: config.Server.Origin, Notes: []string{},
	}
	if found.origin != "" {
		s.ofCredential(found)
	} else if err := s.ofSession(ctx, config, stored); err != nil {
		return err
	}
	kizo, checked := a.kizo()
	if checked == nil && s.Method != methodNone {
		checked = s.check(ctx, kizo)
	}
	s.addNotes(config, found, stored)
	err = a.printOne(flags, *s, authColumns, []string{
		s.State, s.Method, atHandle(s.Handle), s.Context, s.Server, s.KeptIn, a.whenever(s.ExpiresAt), s.Key,
		strings.Join(s.Scopes, ","), strings.Join(s.Notes, "; "),
	})
	if err == nil && s.Method == methodNone {
		err = client.ErrNotLoggedIn
	}
	return firstError(err, checked)
}

func atHandle(handle string) string {
	if handle == "" {
		return ""
	}
	return "@" + handle
}

// ofCredential describes a key or token that replaces the session.
func (s *authStatus) ofCredential(found credential) {
	s.Method, s.State, s.Store, s.KeptIn = methodToken, authUnchecked, "environment", found.origin
	if apikey.Is(found.token) {
		s.Method = methodKey
	} else {
		s.ExpiresAt = expiryOfToken(found.token)
	}
	switch found.origin {
	case "KIZO_API_KEY_FILE":
		s.Store, s.KeptIn = "key_file", "the file of "+found.origin
	case "--api-key-stdin":
		s.Store = "stdin"
	}
}

// ofSession describes the stored session.
func (s *authStatus) ofSession(ctx context.Context, config *config, stored *sessionStore) error {
	held, err := stored.Load(ctx)
	if err != nil {
		return err
	}
	s.Store, s.KeptIn = config.CredentialStore.Value, stored.vault.String()
	s.Method, s.State = methodNone, authNone
	if held.AccessToken == "" {
		return nil
	}
	s.Method, s.State = methodSession, authUnchecked
	if apikey.Is(held.AccessToken) {
		s.Method = methodKey
	}
	s.Handle, s.UserID = held.User.Handle, held.User.Id.String()
	if !held.ExpiresAt.IsZero() {
		s.TokenExpiresAt = &held.ExpiresAt
	}
	return nil
}

// check asks the server. Its error is why the credential is refused or could not be checked.
func (s *authStatus) check(ctx context.Context, kizo *client.Client) error {
	if s.Method == methodKey {
		limits, err := kizo.Limits(ctx) // any scope opens it
		if err != nil {
			return s.refusedBy(err)
		}
		if key := limits.Key; key != nil {
			s.Key, s.Scopes, s.ExpiresAt = key.Name, key.Scopes, &key.ExpiresAt
		}
	}
	me, err := kizo.Me(ctx)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == client.ScopeMissing && s.Method == methodKey {
		s.State = authAccepted
		return nil
	}
	if err != nil {
		return s.refusedBy(err)
	}
	s.State, s.Handle, s.UserID = authAccepted, me.Handle, me.Id.String()
	if s.Method != methodSession {
		return nil
	}
	sessions, err := kizo.Sessions(ctx)
	if err != nil {
		return err
	}
	for i := range sessions {
		if sessions[i].Current {
			s.ExpiresAt = &sessions[i].ExpiresAt
		}
	}
	return nil
}

func (s *authStatus) refusedBy(err error) error {
	if exitCode(err) == exitNotLoggedIn {
		s.State = authRefused
	}
	return err
}

// addNotes says what overrides what, and what does not fit together.
func (s *authStatus) addNotes(config *config, found credential, stored *sessionStore) {
	add := func(parts ...string) { s.Notes = append(s.Notes, strings.Join(parts, "")) }
	_, noFile := os.Stat(stored.sessionPath())
	switch {
	case found.origin != "" && config.CredentialStore.Value != storeFile:
		add(found.origin, " overrides the session that ", stored.vault.String(), " may have")
	case found.origin != "" && noFile == nil:
		add(found.origin, " overrides the session in ", stored.vault.String())
	}
	if config.CredentialStore.Value != storeFile && noFile == nil {
		add("another session is in the file ", stored.sessionPath(), ": kizo logout --credential-store file")
	}
	if config.ContextID != "" && config.Server.Kind != fromContext {
		add(config.Server.Origin, " overrides the server of the context ", config.Context.Value)
	}
	if owner := config.User.Value; owner != "" && s.Handle != "" && owner != s.Handle {
		add("the context is for @", owner)
	}
	if s.Protected {
		add("money moves after the name of the context was given")
	}
}

// expiryOfToken returns when an access token expires, by its own statement; nil if it has none.
func expiryOfToken(token string) *time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Exp int64 `json:"exp"`
	}
	if json.Unmarshal(text, &claims) != nil || claims.Exp == 0 {
		return nil
	}
	at := time.Unix(claims.Exp, 0).UTC()
	return &at
}
