package main

import (
	"bufio"
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

func firstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxPassword+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if len(line) > maxPassword {
		return "", usagef("the first line of stdin is too long for a password")
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", usagef("the first line of stdin is empty: it must be the password")
	}
	return password, nil
}

// beforePassword refuses a log-in that could not take effect.
func (a *app) beforePassword(ctx context.Context) error {
	if a.env("KIZO_TOKEN") != "" {
		return withHint(usagef("KIZO_TOKEN is set and would be used instead of the session"), "unset KIZO_TOKEN")
	}
	return a.confirmServer(ctx)
}
