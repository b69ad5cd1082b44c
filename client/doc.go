// Package client calls a Kizo server:
//
//	program ─► Client.Send ─► attempt ─► attempt … ─► Receipt
//	              │              └ the same Idempotency-Key each time: money moves once
//	              └ TokenStore: access token, refreshed under its lock
//
// What most programs need:
//
//	kizo, err := client.New(client.Config{Server: "http://127.0.0.1:7420", Tokens: store})
//	wallets, err := kizo.Wallets(ctx)
//
//	body := client.TransferCreate{To: "@bob", Amount: 1250, Currency: "USD"} // 12.50 USD
//	command, err := client.NewTransfer(client.NewKey(), body)
//	// store command here, so that the program can send it again after a crash
//	receipt, err := kizo.Send(ctx, command)
//
// # Errors
//
//	*Error                the server rejected the request; Code says why
//	*UnknownOutcomeError  money may have moved: Send the same Command again to find out
//	*UnreachableError     no server was reached, or a request that changes nothing got no answer
//	*ProtocolError        the answer is not one that a Kizo server gives
//	ErrNotLoggedIn        the TokenStore is empty
//
// # Retries
//
// The client repeats a request after answers that may change (408, 425, 429, 502 to 504, a broken
// connection): at most four attempts within 30 seconds, with full jitter and not before
// Retry-After. A POST is repeated only if the server can recognize the repeat by its
// Idempotency-Key, which is the same in each attempt. Sign-up, log-in and refresh are repeated only
// if nothing was sent.
//
// # Tokens
//
// The client exchanges an expired access token for a new one under the lock of the TokenStore,
// after it has read the store again: a refresh token works once, and its second use ends the
// session. The store allocates the space for the new tokens before the client sends the old one, so
// that a full disk does not end the session.
//
// # Types
//
// Requests and answers have the types of the contract, openapi.yaml, which package openapi
// generates and documents. This package lists them under names of its own: client.Transfer is
// openapi.Transfer.
package client
