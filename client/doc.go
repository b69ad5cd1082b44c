// Package client talks to a Kizo server.
//
// What most programs need:
//
//	kizo, err := client.New(client.Config{Server: "http://127.0.0.1:7420", Tokens: store})
//	wallets, err := kizo.Wallets(ctx)
//
//	command, err := client.NewTransfer(client.NewKey(), client.TransferCreate{To: "@bob", Amount: 1250, Currency: "USD"})
//	// write command down, so that a crash from here on can be resumed
//	receipt, err := kizo.Send(ctx, command)
//
// # Errors
//
//	*Error           the server answered, and it was not done; Code says why
//	*UnknownOutcome  money may have moved: Send the same Command again to find out
//	*Unreachable     no server was reached, or a reading request got no answer
//	ErrNotLoggedIn   there are no credentials to send
//
// # Trying again
//
// Answers that promise nothing (408, 425, 429, 502 to 504, a broken connection) are tried again, at
// most four times within half a minute, with full jitter and no sooner than Retry-After. A POST is
// only repeated when the server can tell a repeat from a second wish: it carries its Idempotency-Key,
// the same one every time. Sign-up, log-in and refresh are repeated only if nothing was sent.
//
// # Tokens
//
// An access token that has expired is traded for a new one under the lock of the TokenStore, after
// reading it again: a refresh token works once, and its second use ends the session. The store allocates
// the space for the new token before the old one is sent, so that a full disk does not end the session.
//
// Models and request builders are generated from openapi.yaml.
package client
