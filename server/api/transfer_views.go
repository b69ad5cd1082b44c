package api

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

// GetTransfer returns one transfer of the user.
func (a *API) GetTransfer(ctx context.Context, r routes.GetTransferRequestObject) (routes.GetTransferResponseObject, error) {
	t, err := a.ledger.Find(ctx, userID(ctx), r.Id)
	if err != nil {
		return nil, err
	}
	views, err := a.view(ctx, t)
	if err != nil {
		return nil, err
	}
	return routes.GetTransfer200JSONResponse(views[0]), nil
}

// ListTransfers returns a page of the user's transfers, newest first.
func (a *API) ListTransfers(ctx context.Context, r routes.ListTransfersRequestObject) (routes.ListTransfersResponseObject, error) {
	query, err := listQuery(r.Params)
	if err != nil {
		return nil, err
	}
	if r.Params.With != nil && *r.Params.With != "" {
		other, err := a.auth.FindPayee(ctx, userID(ctx), strings.TrimSpace(*r.Params.With))
		if err != nil {
			return nil, err
		}
		query.With = other.ID
	}
	page, err := a.ledger.List(ctx, userID(ctx), query)
	if err != nil {
		return nil, err
	}
	views, err := a.view(ctx, page.Transfers...)
	if err != nil {
		return nil, err
	}
	return routes.ListTransfers200JSONResponse{Items: views, NextCursor: optional(page.Next)}, nil
}

const maxSearchText = 80 // characters

// listQuery checks the parameters of a list of transfers.
func listQuery(p openapi.ListTransfersParams) (q ledger.Query, err error) {
	if q.Since, err = parseTime("since", p.Since); err != nil {
		return q, err
	}
	if q.Until, err = parseTime("until", p.Until); err != nil {
		return q, err
	}
	if p.Limit != nil {
		if *p.Limit < 1 || *p.Limit > ledger.MaxPage {
			return q, reject(openapi.ParameterMalformed, "limit", "limit is a whole number from 1 to 100")
		}
		q.Limit = int(*p.Limit)
	}
	q.State, q.Kind = ledger.State(orEmpty(p.State)), ledger.Kind(orEmpty(p.Kind))
	q.Direction, q.Currency = orEmpty(p.Direction), money.Currency(orEmpty(p.Currency))
	q.Memo, q.Cursor = orEmpty(p.Q), orEmpty(p.Cursor)
	if q.Key = orEmpty(p.Key); q.Key != "" && ledger.CheckKey(q.Key) != nil {
		return q, reject(openapi.ParameterMalformed, "key", "key is an idempotency key: 1 to 255 visible ASCII characters")
	}
	if p.Tag != nil && *p.Tag != "" {
		if q.Tag, err = ledger.TagFilter(*p.Tag); err != nil {
			return q, reject(openapi.ParameterMalformed, "tag", "tag is a key, or a key and a value: project=apollo")
		}
	}
	q.MinAmount, q.MaxAmount = orZero(p.MinAmount), orZero(p.MaxAmount)
	switch {
	case q.State != "" && !openapi.TransferState(q.State).Valid():
		return q, reject(openapi.ParameterMalformed, "state", "state is pending, posted, voided or refused")
	case q.Kind != "" && !openapi.TransferKind(q.Kind).Valid():
		return q, reject(openapi.ParameterMalformed, "kind", "kind is transfer, authorization, deposit, withdrawal or reversal")
	case q.Direction != "" && !openapi.TransferDirection(q.Direction).Valid():
		return q, reject(openapi.ParameterMalformed, "direction", "direction is in or out")
	case q.Currency != "" && !q.Currency.Known():
		return q, unknownCurrency()
	case q.MinAmount < 0 || q.MaxAmount < 0 || p.MinAmount != nil && q.MinAmount == 0 || p.MaxAmount != nil && q.MaxAmount == 0:
		return q, reject(openapi.ParameterMalformed, "", "min_amount and max_amount are minor units and at least 1: 1250 for 12.50 USD")
	case q.MaxAmount != 0 && q.MinAmount > q.MaxAmount:
		return q, reject(openapi.ParameterMalformed, "min_amount", "min_amount is more than max_amount: no transfer can match")
	case utf8.RuneCountInString(q.Memo) > maxSearchText:
		return q, reject(openapi.ParameterMalformed, "q", "q is at most 80 characters")
	}
	return q, nil
}

func orZero(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// view returns transfers as the user of the request sees them, with the names of sender and
// receiver.
func (a *API) view(ctx context.Context, transfers ...ledger.Transfer) ([]openapi.Transfer, error) {
	accounts := make([]ledger.AccountID, 0, 2*len(transfers))
	for _, t := range transfers {
		accounts = append(accounts, t.DebitAccount, t.CreditAccount)
	}
	owners, err := a.ledger.Owners(ctx, accounts)
	if err != nil {
		return nil, err
	}
	ids := make([]auth.UserID, 0, len(owners))
	for _, owner := range owners {
		ids = append(ids, owner)
	}
	people, err := a.auth.UsersByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	party := func(account ledger.AccountID, kind ledger.Kind) openapi.Party {
		owner, ok := owners[account]
		if !ok {
			return viewSystemParty(kind)
		}
		return viewParty(people[owner])
	}
	views := make([]openapi.Transfer, len(transfers))
	for i, t := range transfers {
		direction := openapi.In
		if owners[t.DebitAccount] == userID(ctx) {
			direction = openapi.Out
		}
		views[i] = viewTransfer(t, party(t.DebitAccount, t.Kind), party(t.CreditAccount, t.Kind), direction)
		views[i].Tags = viewTags(t, userID(ctx))
	}
	return views, nil
}

// viewSystemParty returns the side of a transfer that is a system account.
func viewSystemParty(kind ledger.Kind) openapi.Party {
	bank := kind == ledger.KindDeposit || kind == ledger.KindWithdrawal
	return openapi.Party{Bank: &bank}
}

func viewParty(u auth.UserRef) openapi.Party {
	return openapi.Party{Handle: &u.Handle, Name: &u.Name, Staff: staff(u.Role)}
}

// staff returns true for operators and nil for other users.
func staff(role auth.Role) *bool {
	if role != auth.RoleOperator {
		return nil
	}
	yes := true
	return &yes
}

// viewTags returns the tags of a transfer, which only its owner sees.
func viewTags(t ledger.Transfer, viewer ledger.UserID) *openapi.Tags {
	tags := openapi.Tags(t.Tags.Map())
	if tags == nil || t.Owner != viewer {
		return nil
	}
	return &tags
}

// viewTransfer returns a transfer between two parties.
func viewTransfer(t ledger.Transfer, from, to openapi.Party, direction openapi.TransferDirection) openapi.Transfer {
	v := openapi.Transfer{
		Id: t.ID, Kind: openapi.TransferKind(t.Kind), State: openapi.TransferState(t.State), Reason: optional(t.Reason),
		Amount: t.Amount.Minor, Currency: string(t.Amount.Currency), From: from, To: to,
		Direction: direction, Memo: optional(t.Memo), CreatedAt: t.CreatedAt.UTC(),
		ExpiresAt: optionalTime(t.ExpiresAt), ResolvedAt: optionalTime(t.ResolvedAt),
	}
	if t.State == ledger.Posted {
		v.Amount = t.PostedAmount
	}
	if t.Kind == ledger.KindAuthorization {
		v.AuthorizedAmount = &t.Amount.Minor
	}
	if t.ReversedAmount > 0 {
		v.ReversedAmount = &t.ReversedAmount
	}
	if t.Kind == ledger.KindReversal {
		v.Reverses = &t.Target
	}
	return v
}

// optionalTime returns nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// viewDone is view for commands that the ledger has carried out. If the names of the parties cannot
// be read, they are missing: the money has moved, so the request succeeds all the same.
func (a *API) viewDone(ctx context.Context, transfers ...ledger.Transfer) []openapi.Transfer {
	if len(transfers) == 0 {
		return nil
	}
	views, err := a.view(ctx, transfers...)
	if err == nil {
		return views
	}
	a.log.Warn("cannot read the parties of completed transfers", "first", transfers[0].ID, "transfers", len(transfers), "error", err)
	views = make([]openapi.Transfer, len(transfers))
	for i, t := range transfers {
		direction := openapi.Out
		if t.Kind == ledger.KindDeposit || t.Owner != userID(ctx) {
			direction = openapi.In
		}
		views[i] = viewTransfer(t, openapi.Party{}, openapi.Party{}, direction)
		views[i].Tags = viewTags(t, userID(ctx))
	}
	return views
}

// transferResponse returns the response for a command that the ledger has carried out.
func (a *API) transferResponse(ctx context.Context, r ledger.Result) routes.TransferJSONResponse {
	response := routes.TransferJSONResponse{Body: a.viewDone(ctx, r.Transfer)[0]}
	if r.Replayed {
		yes := "true"
		response.Headers.IdempotencyReplayed = &yes
	}
	return response
}

func pendingResponse(r routes.TransferJSONResponse) routes.PendingTransferJSONResponse {
	return routes.PendingTransferJSONResponse{
		Body:    r.Body,
		Headers: routes.PendingTransferResponseHeaders{IdempotencyReplayed: r.Headers.IdempotencyReplayed},
	}
}
