package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/money"
)

// confirmationTime is how long a confirmation token is valid.
const confirmationTime = 10 * time.Minute

type mcpPayment struct {
	To        string `json:"to" jsonschema:"the payee: @handle, e-mail address or wallet id"`
	Amount    string `json:"amount" jsonschema:"a decimal text, such as 12.50"`
	Currency  string `json:"currency" jsonschema:"such as USD"`
	Memo      string `json:"memo,omitempty" jsonschema:"a note that both see, at most 140 characters"`
	Authorize bool   `json:"authorize,omitempty" jsonschema:"hold the amount until the payee captures it, instead of sending it"`

	IdempotencyKey    string `json:"idempotency_key" jsonschema:"a new text for each payment that is intended, such as invoice-17; the same for all calls of one payment"`
	ConfirmationToken string `json:"confirmation_token,omitempty" jsonschema:"from the dry run; without it, this call is a dry run"`
}

// mcpDryRun is the result of the first call of a payment.
type mcpDryRun struct {
	DryRun            bool                   `json:"dry_run"`
	Preview           client.TransferPreview `json:"preview"`
	Limits            []client.APIKeyLimit   `json:"limits"` // of the API key
	ConfirmationToken string                 `json:"confirmation_token"`
	ExpiresAt         time.Time              `json:"expires_at"`
	Next              string                 `json:"next"`
}

// addTransfers adds the tools that move money, if the credential is an API key that cannot spend
// more than its owner has decided.
func (s *mcpServer) addTransfers(ctx context.Context, server *mcp.Server) error {
	found, err := s.app.credential()
	if err != nil {
		return err
	}
	if !apikey.Is(found.token) {
		return refuseAgent("it needs an API key with limits, not a session: an agent with your session could spend everything")
	}
	limits, err := s.kizo.Limits(ctx)
	if err != nil {
		return err
	}
	if why := unfitForAgent(limits.Key); why != "" {
		return refuseAgent(why)
	}
	if s.tokens, err = newConfirmations(s.app.now); err != nil {
		return err
	}
	addTool(s, server, changing("pay", "Pay another user. The dry run shows the payee, the fee and the balance afterwards."), s.pay)
	s.addChanges(server)
	return nil
}

func refuseAgent(why string) error {
	return withHint(&exitError{exit: exitRefused, code: "key_unfit", err: errors.New("--allow transfers: " + why)},
		"kizo keys create --name agent --scope read,transfers:write --max-per-transfer 5USD --max-per-day 20USD --secret-file agent.key",
		"KIZO_API_KEY_FILE=agent.key kizo mcp --allow transfers")
}

// unfitForAgent returns why an agent must not use a key, or "" if it may.
func unfitForAgent(key *client.APIKey) string {
	switch {
	case key == nil:
		return "the server does not know the limits of this credential"
	case !slices.Contains(key.Scopes, "transfers:write"):
		return "the API key " + key.Name + " lacks the scope transfers:write"
	case len(key.Limits) == 0:
		return "the API key " + key.Name + " has no limits"
	}
	for _, scope := range key.Scopes {
		if scope != "read" && scope != "transfers:write" {
			return "the API key " + key.Name + " has the scope " + scope + ", which an agent does not need"
		}
	}
	for _, limit := range key.Limits {
		if limit.MaxPerTransfer == nil || limit.MaxPerDay == nil {
			return fmt.Sprintf("the API key %s needs a maximum per transfer and one per day for %s", key.Name, limit.Currency)
		}
	}
	return ""
}

// pay is a dry run, or with the token of one, a payment.
func (s *mcpServer) pay(ctx context.Context, in mcpPayment) (any, error) {
	if err := client.CheckKey(in.IdempotencyKey); err != nil {
		return nil, usage(err)
	}
	amount, body, err := in.body()
	if err != nil {
		return nil, err
	}
	token := in.ConfirmationToken
	in.ConfirmationToken = ""
	if token == "" {
		return s.dryRun(ctx, in, body)
	}
	if err := s.tokens.check(token, "pay", in); err != nil {
		return nil, err
	}
	command, err := client.NewTransfer(in.IdempotencyKey, body)
	if err != nil {
		return nil, err
	}
	return s.send(ctx, command, "transfer "+amount.String()+" to "+in.To)
}

func (in mcpPayment) body() (money.Amount, client.TransferCreate, error) {
	currency, err := parseCurrency(in.Currency)
	if err != nil {
		return money.Amount{}, client.TransferCreate{}, err
	}
	amount, err := money.Parse(in.Amount, currency)
	if err != nil {
		return amount, client.TransferCreate{}, err
	}
	if strings.TrimSpace(in.To) == "" {
		return amount, client.TransferCreate{}, usagef("to: name the payee, such as @bob")
	}
	body := client.TransferCreate{To: in.To, Amount: amount.Minor, Currency: string(currency)}
	if in.Memo != "" {
		body.Memo = &in.Memo
	}
	if in.Authorize {
		body.Authorize = &in.Authorize
	}
	return amount, body, nil
}

func (s *mcpServer) dryRun(ctx context.Context, in mcpPayment, body client.TransferCreate) (any, error) {
	preview, err := s.kizo.Preview(ctx, body)
	if err != nil {
		return nil, err
	}
	limits, err := s.kizo.Limits(ctx)
	if err != nil {
		return nil, err
	}
	answer := mcpDryRun{DryRun: true, Preview: preview, Next: "Nothing was sent. To pay, call again with the same arguments and confirmation_token."}
	if limits.Key != nil {
		answer.Limits = limits.Key.Limits
	}
	answer.ConfirmationToken, answer.ExpiresAt = s.tokens.issue("pay", in)
	return answer, nil
}

// confirmations issues and checks the tokens of dry runs. A token is valid for the same tool and
// arguments only, in this process only, and for a time. It may be used again: the idempotency key
// keeps the payment or change from happening twice.
type confirmations struct {
	secret []byte
	now    func() time.Time
}

func newConfirmations(now func() time.Time) (*confirmations, error) {
	secret := make([]byte, sha256.Size)
	_, err := rand.Read(secret)
	return &confirmations{secret, now}, err
}

func (c *confirmations) issue(tool string, in any) (token string, expires time.Time) {
	expires = c.now().Add(confirmationTime).UTC().Truncate(time.Second)
	raw := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(raw, c.sign(tool, in, raw)...)), expires
}

func (c *confirmations) sign(tool string, in any, expires []byte) []byte {
	arguments, _ := json.Marshal([]any{tool, in}) // strings and a bool always have an encoding
	mac := hmac.New(sha256.New, c.secret)
	mac.Write(expires)
	mac.Write(arguments)
	return mac.Sum(nil)
}

func (c *confirmations) check(token, tool string, in any) error {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	const expires = 8
	if err != nil || len(raw) != expires+sha256.Size || !hmac.Equal(raw[expires:], c.sign(tool, in, raw[:expires])) {
		return usagef("confirmation_token: it is not that of a dry run with these arguments: call without it first")
	}
	if c.now().Unix() > int64(binary.BigEndian.Uint64(raw)) {
		return usagef("confirmation_token: it has expired: call without it first")
	}
	return nil
}
