package main

import (
	"context"
	"strings"

	"github.com/JDevAman/kizo/internal/printable"
)

// confirmMove asks for the name of a protected context before money moves. what names the movement:
// "transfer 12.50 USD to @bob". A script gives the name with --confirm-context, which must be right
// in every context.
func (a *app) confirmMove(ctx context.Context, what string) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	name := config.Context.Value
	if a.confirmFlag != "" && a.confirmFlag != name {
		return usagef("nothing was sent: --confirm-context is %s, and the context is %s", a.confirmFlag, name)
	}
	if config.Protected.Value != "true" || a.confirmFlag == name {
		return nil
	}
	if a.io.ReadLine == nil {
		return withHint(usagef("nothing was sent: the context %s is protected, and there is no terminal to ask for its name", name),
			a.commandLine()+" --confirm-context "+shellQuote(name))
	}
	a.io.note("%s: the context %s is protected (%s).", printable.Text(what), name, printable.Text(config.Server.Value))
	answer, err := a.io.ReadLine(ctx, "Type the name of the context: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != name {
		return usagef("nothing was sent: that is not the name of the context %s", name)
	}
	return nil
}

// isProtected reports whether money moves only after a confirmation, which this command does not
// have.
func (a *app) isProtected() (bool, error) {
	config, err := a.config()
	if err != nil {
		return false, err
	}
	return config.Protected.Value == "true" && a.confirmFlag != config.Context.Value, nil
}

// saysYes reports whether an answer confirms: yes or y.
func saysYes(answer string) bool {
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "yes" || answer == "y"
}
