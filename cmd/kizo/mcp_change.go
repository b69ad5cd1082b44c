package main

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/money"
)

// mcpChange asks to capture, void or reverse a transfer that the user receives or has received.
type mcpChange struct {
	ID     string `json:"id" jsonschema:"the id of the transfer"`
	Amount string `json:"amount,omitempty" jsonschema:"a part, as a decimal text in the currency of the transfer; the whole amount without it"`
	mcpConfirmed
}

// mcpVoid asks to release the amount of an authorization.
type mcpVoid struct {
	ID string `json:"id" jsonschema:"the id of the authorization"`
	mcpConfirmed
}

// mcpConfirmed are the arguments of a change that make it safe to repeat.
type mcpConfirmed struct {
	IdempotencyKey    string `json:"idempotency_key" jsonschema:"a new text for each change that is intended, such as capture-order-17; the same for all calls of one change"`
	ConfirmationToken string `json:"confirmation_token,omitempty" jsonschema:"from the dry run; without it, this call is a dry run"`
}

// mcpChangePreview is the result of the first call of a change.
type mcpChangePreview struct {
	DryRun            bool                 `json:"dry_run"`
	Transfer          client.Transfer      `json:"transfer"` // as it is now
	Amount            int64                `json:"amount"`   // minor units that would be captured, released or sent back
	Currency          string               `json:"currency"`
	Released          int64                `json:"released,omitempty"` // of a hold that is captured in part
	Warning           string               `json:"warning,omitempty"`
	Limits            []client.APIKeyLimit `json:"limits,omitempty"` // of the API key, against which a reversal counts
	ConfirmationToken string               `json:"confirmation_token"`
	ExpiresAt         time.Time            `json:"expires_at"`
	Next              string               `json:"next"`
}

const mcpTwice = " Call it first without confirmation_token: that is a dry run, which returns a token. Show the result to the user if there is one. " +
	"Then call it again with the same arguments and the token. After an error whose code is outcome_unknown, or a lost answer, repeat the same call " +
	"with the same idempotency_key: a key changes something at most once."

// addChanges adds the tools that capture, void and reverse what the user receives.
func (s *mcpServer) addChanges(server *mcp.Server) {
	addTool(s, server, changing("capture", "Capture an amount that another user authorized for this user, wholly or in part; the rest is released."),
		func(ctx context.Context, in mcpChange) (any, error) {
			return s.change(ctx, "capture", in, client.NewCapture)
		})
	addTool(s, server, changing("void", "Release an amount that another user authorized for this user."),
		func(ctx context.Context, in mcpVoid) (any, error) {
			return s.change(ctx, "void", mcpChange{ID: in.ID, mcpConfirmed: in.mcpConfirmed}, buildVoid)
		})
	addTool(s, server, changing("reverse", "Send a received transfer back, wholly or in part, as a new transfer."),
		func(ctx context.Context, in mcpChange) (any, error) {
			return s.change(ctx, "reverse", in, client.NewReverse)
		})
}

// changing returns the description of a tool that moves money.
func changing(name, description string) *mcp.Tool {
	no, yes := false, true
	return &mcp.Tool{
		Name: name, Description: description + mcpTwice,
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes, IdempotentHint: true, OpenWorldHint: &no},
	}
}

// change is a dry run, or with the token of one, a capture, void or reversal.
func (s *mcpServer) change(ctx context.Context, verb string, in mcpChange,
	build func(key string, id uuid.UUID, part *int64) (client.Command, error),
) (any, error) {
	if err := client.CheckKey(in.IdempotencyKey); err != nil {
		return nil, usage(err)
	}
	transfer, err := s.transfer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	part, err := optionalAmount(in.Amount, transfer.Currency)
	if err != nil {
		return nil, err
	}
	token := in.ConfirmationToken
	in.ConfirmationToken = ""
	if token == "" {
		return s.previewChange(ctx, verb, in, transfer, part)
	}
	if err := s.tokens.check(token, verb, in); err != nil {
		return nil, err
	}
	command, err := build(in.IdempotencyKey, transfer.Id, part)
	if err != nil {
		return nil, err
	}
	return s.send(ctx, command, verb+" transfer "+transfer.Id.String())
}

// optionalAmount parses an amount; nil if it is empty.
func optionalAmount(text, currency string) (*int64, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no part is the whole amount
	}
	amount, err := money.Parse(text, money.Currency(currency))
	if err != nil {
		return nil, err
	}
	return &amount.Minor, nil
}

// previewChange describes what a change would do to the transfer as it is now. The ledger decides
// when the change is made; so a state that does not allow it is a warning, and the agent can repeat
// a change that it has made without learning of it.
func (s *mcpServer) previewChange(ctx context.Context, verb string, in mcpChange, transfer client.Transfer, part *int64) (any, error) {
	answer := mcpChangePreview{
		DryRun: true, Transfer: transfer, Amount: transfer.Amount, Currency: transfer.Currency,
		Next: "Nothing was changed. To " + verb + ", call again with the same arguments and confirmation_token.",
	}
	if verb == "reverse" {
		if transfer.ReversedAmount != nil {
			answer.Amount -= *transfer.ReversedAmount
		}
		limits, err := s.kizo.Limits(ctx)
		if err != nil {
			return nil, err
		}
		if limits.Key != nil {
			answer.Limits = limits.Key.Limits
		}
	}
	if part != nil {
		if *part > answer.Amount {
			answer.Warning = "the amount is more than there is to " + verb + ": the ledger will refuse it"
		} else if verb == "capture" {
			answer.Released = answer.Amount - *part
		}
		answer.Amount = *part
	}
	switch wanted := map[bool]client.TransferState{true: client.Posted, false: client.Pending}[verb == "reverse"]; {
	case transfer.Direction != client.In:
		answer.Warning = "the user is not the receiver of the transfer: the ledger will refuse the change"
	case transfer.State != wanted:
		answer.Warning = "the transfer is " + string(transfer.State) + ": the ledger will refuse the change, unless it was made with this key before"
	}
	answer.ConfirmationToken, answer.ExpiresAt = s.tokens.issue(verb, in)
	return answer, nil
}

// send records and sends a command, as kizo does on the command line.
func (s *mcpServer) send(ctx context.Context, command client.Command, what string) (any, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	var receipt client.Receipt
	err := s.app.move(ctx, s.kizo, command, what, func(r client.Receipt) (client.Transfer, error) {
		receipt = r
		return r.Transfer, nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"transfer": receipt.Transfer, "replayed": receipt.Replayed}, nil
}
