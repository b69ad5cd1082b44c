package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	openapi_types "github.com/oapi-codegen/runtime/types"
)

// Command is a request that moves money: all of it that has to be the same when it is sent again. It
// is made to be written down before it is sent.
type Command struct {
	Path string          `json:"path"`
	Key  string          `json:"key"`
	Body json.RawMessage `json:"body,omitempty"`

	// Wait asks the server to answer a deposit or withdrawal only when the bank has, or after so long.
	// Whole seconds, at most MaxWait; it is no part of what the key stands for.
	Wait time.Duration `json:"-"`

	// Resumed says that it may have been sent before: then only an answer to its key settles it.
	Resumed bool `json:"-"`
}

// MaxWait is the longest that a server holds an answer back.
const MaxWait = 30 * time.Second

// Receipt is the answer to a Command.
type Receipt struct {
	Transfer Transfer
	Replayed bool // the key was used before; nothing moved again
}

// NewKey makes an Idempotency-Key: a UUIDv7, so that keys sort by time.
func NewKey() string { return uuid.Must(uuid.NewV7()).String() }

// NewTransfer sends money to somebody, or authorizes it.
func NewTransfer(key string, body TransferCreate) (Command, error) {
	request, err := NewCreateTransferRequest(anywhere, nil, body)
	return command(key, request, err)
}

// NewDeposit brings money in from the user's bank.
func NewDeposit(key string, body BankTransferCreate) (Command, error) {
	request, err := NewCreateDepositRequest(anywhere, nil, body)
	return command(key, request, err)
}

// NewWithdrawal takes money out to the user's bank.
func NewWithdrawal(key string, body BankTransferCreate) (Command, error) {
	request, err := NewCreateWithdrawalRequest(anywhere, nil, body)
	return command(key, request, err)
}

// NewCapture takes an authorized amount, the whole if part is nil.
func NewCapture(key string, id openapi_types.UUID, part *int64) (Command, error) {
	request, err := NewCaptureTransferRequest(anywhere, id, nil, PartAmount{Amount: part})
	return command(key, request, err)
}

// NewVoid gives an authorized amount back.
func NewVoid(key string, id openapi_types.UUID) (Command, error) {
	request, err := NewVoidTransferRequest(anywhere, id, nil)
	return command(key, request, err)
}

// NewReverse sends a received transfer back, the whole if part is nil.
func NewReverse(key string, id openapi_types.UUID, part *int64) (Command, error) {
	request, err := NewReverseTransferRequest(anywhere, id, nil, PartAmount{Amount: part})
	return command(key, request, err)
}

// anywhere is a server for the generated builders, of which a Command keeps path and body.
const anywhere = "http://kizo.invalid/"

func command(key string, request *http.Request, err error) (Command, error) {
	if err != nil {
		return Command{}, err
	}
	c := Command{Path: request.URL.Path, Key: key}
	if request.Body != nil {
		if c.Body, err = io.ReadAll(request.Body); err != nil {
			return Command{}, err
		}
	}
	return c, CheckKey(key)
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

// Send carries a Command out. An *UnknownOutcome asks for the same Command to be sent again, an
// *Error with a transfer id is a refusal for ever, and after any other error nothing has happened.
func (k *Kizo) Send(ctx context.Context, c Command) (Receipt, error) {
	request, err := k.moneyRequest(c)
	if err != nil {
		return Receipt{}, err
	}
	got, err := k.do(ctx, call{request: request, key: c.Key, sent: c.Resumed, wait: wholeWait(c.Wait)})
	if err != nil {
		return Receipt{}, err
	}
	receipt := Receipt{Replayed: replayed(got.header)}
	if err := decode(got.body, &receipt.Transfer); err != nil {
		return Receipt{}, &UnknownOutcome{Key: c.Key, Err: k.notKizo(err)}
	}
	return receipt, nil
}

func (k *Kizo) moneyRequest(c Command) (*http.Request, error) {
	if err := CheckKey(c.Key); err != nil {
		return nil, err
	}
	path, err := url.Parse("." + c.Path)
	if err != nil || !strings.HasPrefix(c.Path, "/v1/") {
		return nil, fmt.Errorf("%q is no path of a command", c.Path)
	}
	server, err := url.Parse(k.server)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if len(c.Body) > 0 {
		body = strings.NewReader(string(c.Body))
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.ResolveReference(path).String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Idempotency-Key", c.Key)
	if wait := wholeWait(c.Wait); wait > 0 {
		request.Header.Set("Prefer", fmt.Sprintf("wait=%d", wait/time.Second))
	}
	return request, nil
}

func wholeWait(wait time.Duration) time.Duration {
	return min(max(wait, 0), MaxWait).Truncate(time.Second)
}
