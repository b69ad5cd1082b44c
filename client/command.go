package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
)

// Command is a request that moves money. It holds everything that must be the same when the request
// is sent again, so that a program can store it before it sends it.
type Command struct {
	Path string          `json:"path"`
	Key  string          `json:"key"`
	Body json.RawMessage `json:"body,omitempty"`

	// Wait asks the server to answer a deposit or withdrawal once the bank has answered, or after
	// this time: whole seconds, at most MaxWait. Commands that differ in Wait alone may share a
	// key.
	Wait time.Duration `json:"-"`

	// Resumed says that the Command may have been sent before. Then only an answer to its key tells
	// whether money moved.
	Resumed bool `json:"-"`
}

// MaxWait is the longest time for which a server delays its answer.
const MaxWait = 30 * time.Second

// Receipt is the answer to a Command.
type Receipt struct {
	Transfer Transfer
	Replayed bool // the key was used before; no more money moved
}

// NewKey returns a new Idempotency-Key: a UUIDv7, so that keys sort by time.
func NewKey() string { return uuid.Must(uuid.NewV7()).String() }

// NewTransfer returns the Command that sends money to another user, or authorizes it.
func NewTransfer(key string, body TransferCreate) (Command, error) {
	return newCommand(key, "/v1/transfers", body)
}

// NewDeposit returns the Command that brings money in from the user's bank.
func NewDeposit(key string, body BankTransferCreate) (Command, error) {
	return newCommand(key, "/v1/deposits", body)
}

// NewWithdrawal returns the Command that takes money out to the user's bank.
func NewWithdrawal(key string, body BankTransferCreate) (Command, error) {
	return newCommand(key, "/v1/withdrawals", body)
}

// NewCapture returns the Command that captures an authorization: part in minor units, or the whole
// amount if part is nil.
func NewCapture(key string, id uuid.UUID, part *int64) (Command, error) {
	return newCommand(key, transferPath(id, "/capture"), openapi.PartAmount{Amount: part})
}

// NewVoid returns the Command that gives an authorization up.
func NewVoid(key string, id uuid.UUID) (Command, error) {
	return newCommand(key, transferPath(id, "/void"), nil)
}

// NewReverse returns the Command that sends a received transfer back: part in minor units, or the
// whole amount if part is nil.
func NewReverse(key string, id uuid.UUID, part *int64) (Command, error) {
	return newCommand(key, transferPath(id, "/reverse"), openapi.PartAmount{Amount: part})
}

func newCommand(key, path string, body any) (Command, error) {
	command := Command{Path: path, Key: key}
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return Command{}, err
		}
		command.Body = encoded
	}
	return command, CheckKey(key)
}

// CheckKey reports whether a key can be sent: 1 to 255 visible ASCII characters.
func CheckKey(key string) error {
	if key == "" || len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
		return fmt.Errorf("an idempotency key is 1 to 255 visible ASCII characters without spaces, %s is not", quoteKey(key))
	}
	return nil
}

func quoteKey(key string) string {
	if len(key) > 40 {
		return fmt.Sprintf("%+q...", key[:40])
	}
	return fmt.Sprintf("%+q", key)
}

// Send sends a Command. After an *UnknownOutcomeError the caller sends the same Command again, an
// *Error with a transfer id is a refusal that never changes, and after any other error nothing has
// happened.
func (c *Client) Send(ctx context.Context, command Command) (Receipt, error) {
	request, err := c.commandRequest(command)
	if err != nil {
		return Receipt{}, err
	}
	got, err := c.do(ctx, operation{request: request, key: command.Key, sent: command.Resumed, wait: wholeSeconds(command.Wait)})
	if err != nil {
		return Receipt{}, err
	}
	receipt := Receipt{Replayed: replayed(got.header)}
	if err := decode(got.body, &receipt.Transfer); err != nil {
		return Receipt{}, &UnknownOutcomeError{Key: command.Key, Err: c.protocolError(err)}
	}
	return receipt, nil
}

func (c *Client) commandRequest(command Command) (*http.Request, error) {
	if err := CheckKey(command.Key); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(command.Path, "/v1/") {
		return nil, fmt.Errorf("%q is not the path of a command", command.Path)
	}
	request, err := newRequest(c.server, http.MethodPost, command.Path, command.Body)
	if err != nil {
		return nil, fmt.Errorf("%q is not the path of a command", command.Path)
	}
	request.Header.Set("Idempotency-Key", command.Key)
	if wait := wholeSeconds(command.Wait); wait > 0 {
		request.Header.Set("Prefer", fmt.Sprintf("wait=%d", wait/time.Second))
	}
	return request, nil
}

// wholeSeconds rounds a wait down to whole seconds from 0 to MaxWait.
func wholeSeconds(wait time.Duration) time.Duration {
	return min(max(wait, 0), MaxWait).Truncate(time.Second)
}

// SendBatch sends up to 500 transfers in one request. The result has one entry for each, in order.
// If the problem of an entry has the code Unavailable or OutcomeUnknown, or if SendBatch fails with
// an *UnknownOutcomeError, which names the first key, the caller sends the same batch again. After
// any other error this call has done nothing; an earlier call with the batch may have.
func (c *Client) SendBatch(ctx context.Context, batch TransferBatch) (TransferBatchResult, error) {
	if len(batch.Transfers) == 0 {
		return TransferBatchResult{}, errors.New("a batch has at least one transfer")
	}
	for _, t := range batch.Transfers {
		if err := CheckKey(t.IdempotencyKey); err != nil {
			return TransferBatchResult{}, err
		}
	}
	request, err := c.send(http.MethodPost, "/v1/transfers/batch", batch)
	if err != nil {
		return TransferBatchResult{}, err
	}
	key := batch.Transfers[0].IdempotencyKey
	var result TransferBatchResult
	got, err := c.do(ctx, operation{request: request, key: key})
	if err != nil {
		return result, err
	}
	err = decode(got.body, &result)
	if err == nil && len(result.Results) != len(batch.Transfers) {
		err = fmt.Errorf("%d results for %d transfers", len(result.Results), len(batch.Transfers))
	}
	if err != nil {
		return TransferBatchResult{}, &UnknownOutcomeError{Key: key, Err: c.protocolError(err)}
	}
	return result, nil
}

// LookUpPayees reports for up to 500 payees whether each can be paid in a currency. The result has
// one entry for each, in order. The request is at most 16 KiB long.
func (c *Client) LookUpPayees(ctx context.Context, lookup PayeeLookup) (PayeeLookupResult, error) {
	request, err := c.send(http.MethodPost, "/v1/payees/lookup", lookup)
	result, err := read[PayeeLookupResult](ctx, c, request, err)
	if err == nil && len(result.Results) != len(lookup.Payees) {
		err = c.protocolError(fmt.Errorf("%d results for %d payees", len(result.Results), len(lookup.Payees)))
	}
	return result, err
}
