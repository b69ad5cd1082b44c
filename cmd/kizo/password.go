package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// maxPassword limits what is read from stdin, in bytes; the server decides what it accepts.
const maxPassword = 4096

// passwordOptions say where a password comes from: never from the command line, which others can
// see.
type passwordOptions struct {
	stdin bool
}

func (o *passwordOptions) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.stdin, "password-stdin", false, "read the password from the first line of stdin")
}

// read asks for the password, twice if it is a new one.
func (o *passwordOptions) read(ctx context.Context, a *app, isNew bool) (string, error) {
	if o.stdin {
		return firstLine(a.io.In)
	}
	if a.io.ReadSecrets == nil {
		return "", withHint(usagef("there is no terminal to ask for the password"), a.commandLine()+" --password-stdin < FILE")
	}
	prompts := []string{"Password: "}
	if isNew {
		prompts = append(prompts, "Repeat password: ")
	}
	typed, err := a.io.ReadSecrets(ctx, prompts...)
	if err != nil {
		return "", err
	}
	if isNew && typed[0] != typed[1] {
		return "", usagef("the two passwords are not the same")
	}
	return typed[0], nil
}

// firstLine reads the first line and nothing after it, which may be for another reader.
func firstLine(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); len(line) <= maxPassword; {
		n, err := in.Read(one)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if n == 1 {
			line = append(line, one[0])
		}
		if err != nil || n == 1 && one[0] == '\n' {
			break
		}
	}
	if len(line) > maxPassword {
		return "", usagef("the first line of stdin is too long for a secret")
	}
	password := strings.TrimRight(string(line), "\r\n")
	if password == "" {
		return "", usagef("the first line of stdin is empty: it must be the secret")
	}
	return password, nil
}

// beforePassword refuses a log-in that could not take effect.
func (a *app) beforePassword(ctx context.Context) error {
	if err := a.needsSession(); err != nil {
		return err
	}
	return a.confirmServer(ctx)
}
