package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/apikey"
)

// credential is what a command uses in place of the stored session: an API key, or an access token.
// It is never stored. The zero value means that there is none.
type credential struct {
	token  string
	origin string // for the user: "--api-key-stdin", "KIZO_API_KEY", …
}

// credentialVariables are the environment variables of a credential.
var credentialVariables = []string{"KIZO_API_KEY", "KIZO_API_KEY_FILE", "KIZO_TOKEN"}

// credential returns the credential of this command. It reads stdin or the file once.
func (a *app) credential() (credential, error) {
	if a.authenticated != nil {
		return *a.authenticated, nil
	}
	found, err := a.findCredential()
	if err == nil {
		a.authenticated = &found
	}
	return found, err
}

func (a *app) findCredential() (credential, error) {
	if a.keyStdinFlag {
		text, err := firstLine(a.io.In)
		if err != nil {
			return credential{}, err
		}
		return checkedKey(text, "--api-key-stdin")
	}
	var set []string
	for _, name := range credentialVariables {
		if a.env(name) != "" {
			set = append(set, name)
		}
	}
	switch {
	case len(set) == 0:
		return credential{}, nil
	case len(set) > 1:
		return credential{}, withHint(usagef("%s are set: which one should be used?", strings.Join(set, " and ")), "unset "+set[1])
	case set[0] == "KIZO_API_KEY_FILE":
		return a.keyOfFile(a.env(set[0]))
	case set[0] == "KIZO_API_KEY":
		return checkedKey(a.env(set[0]), set[0])
	}
	return credential{a.env(set[0]), set[0]}, nil
}

// keyOfFile reads the API key in the first line of a file. Secrets that a container or a service
// manager mounts may belong to another user, so that the file is not required to be private.
func (a *app) keyOfFile(path string) (credential, error) {
	if apikey.Is(path) {
		return credential{}, withHint(usagef("KIZO_API_KEY_FILE is the name of a file, and this is a key"), "KIZO_API_KEY in place of KIZO_API_KEY_FILE")
	}
	file, err := os.Open(path)
	if err != nil {
		return credential{}, usagef("KIZO_API_KEY_FILE: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	if err != nil {
		return credential{}, usagef("KIZO_API_KEY_FILE: %w", err)
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && readableByAll(info) {
		a.io.note("kizo: every user of this computer can read the API key: chmod go= %s", shellQuote(path))
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return checkedKey(line, "KIZO_API_KEY_FILE")
}

// checkedKey refuses a text that cannot be a whole key, without a request to the server. The error
// does not repeat the text.
func checkedKey(text, origin string) (credential, error) {
	key := strings.TrimSpace(text)
	if err := apikey.Check(key); err != nil {
		return credential{}, usagef("%s: %w", origin, err)
	}
	return credential{key, origin}, nil
}

// kizoWith returns the configured server, as the user of a credential.
func (a *app) kizoWith(c credential, config *config) (*client.Client, error) {
	if config.Server.Kind == fromProject && !config.ownServer() {
		// A directory of another user must not choose where the token is sent.
		return nil, withHint(usagef("%s is not sent to %s, which %s chose", c.origin, config.Server.Value, config.Server.Origin),
			"KIZO_SERVER="+shellQuote(config.Server.Value)+" kizo ...")
	}
	return a.kizoAt(config.Server.Value, client.StaticToken(c.token))
}

// needsSession refuses a command that an API key or an access token would shadow.
func (a *app) needsSession() error {
	found, err := a.credential()
	if err != nil {
		return err
	}
	if found.origin == "" {
		return nil
	}
	return withHint(usagef("%s is set and would be used instead of the session", found.origin), found.unset())
}

// unset returns what to do so that the credential is not used.
func (c credential) unset() string {
	if strings.HasPrefix(c.origin, "--") {
		return fmt.Sprintf("the same command without %s", c.origin)
	}
	return "unset " + c.origin
}
