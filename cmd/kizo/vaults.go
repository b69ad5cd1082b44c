package main

import (
	"os/exec"
	"path"
	"strings"
)

// The credential stores.
const (
	storeFile    = "file"    // a file that only its owner can read
	storeKeyring = "keyring" // the keyring of the system
	storeCommand = "command" // the command of the setting credential_command
)

var credentialStores = []string{storeFile, storeKeyring, storeCommand}

// vaultOf returns where a session is kept. There is no fallback: a session that should be in the
// keyring is never in a file.
func (c *config) vaultOf(s *sessionStore) (vault, error) {
	id := c.ContextID
	if id == "" {
		id = defaultContext
	}
	item := id + "/" + s.name
	switch c.CredentialStore.Value {
	case storeKeyring:
		return &keyringVault{item: item, timeout: keyringTimeout}, nil
	case storeCommand:
		if c.CredentialCommand.Value == "" {
			return nil, withHint(usagef("credential_store is command (%s), and credential_command is not set", c.CredentialStore.Origin),
				"kizo config set credential_command PROGRAM", "kizo help credentials")
		}
		if err := checkCredentialCommand(c.CredentialCommand.Value); err != nil {
			return nil, err
		}
		return &commandVault{
			command: strings.Fields(c.CredentialCommand.Value),
			request: helperRequest{Version: 1, Key: path.Join("kizo", item), Context: c.Context.Value, Server: s.server},
			timeout: helperTimeout,
		}, nil
	}
	return &fileVault{s.sessionPath()}, nil
}

// checkCredentialCommand checks that a program can be found. It is not run by a shell: quotes have
// no meaning in it.
func checkCredentialCommand(command string) error {
	words := strings.Fields(command)
	if len(words) == 0 {
		return usagef("credential_command is empty")
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return usagef("credential_command: %w", err)
	}
	return nil
}
