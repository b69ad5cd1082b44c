package main

import (
	"context"
	"errors"

	"github.com/JDevAman/kizo/client"
)

// next returns what to type after an error, in the context of this command.
func (a *app) next(err error) []string {
	var lines []string
	for _, line := range a.hints(err) {
		lines = append(lines, a.inThisContext(line))
	}
	return lines
}

// hints returns the hints of the command, and those of the problem's code.
func (a *app) hints(err error) []string {
	if own, ok := errors.AsType[*hinted](err); ok && len(own.next) > 0 {
		return own.next
	}
	if lost, ok := errors.AsType[*outputError](err); ok {
		return lost.next()
	}
	if word, ok := errors.AsType[*misspelled](err); ok {
		return []string{a.retyped(word.wrong, word.right)}
	}
	if unknown, ok := errors.AsType[*client.UnknownOutcomeError](err); ok {
		retry := "kizo retry " + shellQuote(unknown.Key)
		if exitCode(unknown.Err) == exitNotLoggedIn {
			return []string{a.loginLine(), retry}
		}
		return []string{retry}
	}
	if errors.Is(err, client.ErrNotLoggedIn) {
		return []string{a.loginLine()}
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return a.nextOfProblem(refused)
	}
	if notKizo, ok := errors.AsType[*client.ProtocolError](err); ok {
		return a.nextOfNotKizo(notKizo)
	}
	if unreached, ok := errors.AsType[*client.UnreachableError](err); ok && !errors.Is(err, context.Canceled) {
		return a.nextOfUnreachable(unreached)
	}
	return nil
}

func (a *app) nextOfProblem(refused *client.Error) []string {
	switch refused.Code {
	case "":
		return a.nextOfForeignAnswer(refused)
	case client.Unauthenticated, client.TokenInvalid, client.TokenExpired, client.SessionRevoked,
		client.RefreshTokenInvalid, client.RefreshTokenReused, client.KeyRevoked, client.KeyExpired:
		return []string{a.loginLine()}
	case client.EmailTaken:
		return []string{"kizo login EMAIL"}
	case client.InsufficientFunds:
		return []string{"kizo balance", "kizo deposit AMOUNT"}
	case client.WalletNotFound:
		next := []string{"kizo wallet list", "kizo wallet open CURRENCY"}
		if config, err := a.config(); err == nil && config.Currency.Value != "" {
			next = append(next, showOrigin) // the currency may come from the configuration
		}
		return next
	case client.TransferNotFound, client.TransferNotPending, client.TransferNotReversible:
		return []string{"kizo transfers list"}
	case client.NoSignedAudit:
		return []string{"kizo ops audit"}
	case client.KeyNotFound, client.TooManyKeys:
		return []string{"kizo keys list"}
	case client.ScopeMissing:
		return []string{"kizo keys create --name NAME --scope SCOPE,… (a key keeps its scopes)"}
	case client.SessionRequired:
		if found, err := a.credential(); err == nil && found.origin != "" {
			return []string{found.unset(), "kizo login NAME"}
		}
	case client.SessionNotFound:
		return []string{"kizo sessions list"}
	case client.IdempotencyKeyReused:
		return []string{"the same command without --idempotency-key, or with a new one"}
	}
	return nil
}

// loginLine names the user who was logged in last, if known.
func (a *app) loginLine() string {
	if found, err := a.credential(); err == nil && found.origin != "" {
		return found.origin + " was not accepted: unset it, or set a new one"
	}
	name := "NAME"
	if config, err := a.config(); err == nil && config.User.Value != "" {
		name = shellQuote(config.User.Value)
	} else if err == nil {
		if stored, err := a.sessions(config.Server.Value); err == nil {
			if held, err := stored.Load(context.Background()); err == nil && held.User.Handle != "" {
				name = shellQuote(held.User.Handle)
			}
		}
	}
	return "kizo login " + name
}
