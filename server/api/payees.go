package api

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
)

// payeesPerRequest is the number of payees that count as one request for the rate limit.
const payeesPerRequest = 100

// LookUpPayees reports which payees can be paid in a currency. It shows the handle of each and
// nothing else: who may pay a user knows that anyway.
func (a *API) LookUpPayees(ctx context.Context, r routes.LookUpPayeesRequestObject) (routes.LookUpPayeesResponseObject, error) {
	if err := a.limitItems(ctx, len(r.Body.Payees), payeesPerRequest); err != nil {
		return nil, err
	}
	currency := money.Currency(r.Body.Currency)
	if !currency.Known() {
		return nil, reject(openapi.CurrencyUnknown, "currency", "that is not an ISO 4217 currency code: type one such as USD, EUR or JPY")
	}
	queries := make([]payeeQuery, len(r.Body.Payees))
	for i, to := range r.Body.Payees {
		queries[i] = payeeQuery{to, currency}
	}
	found, err := a.payees(ctx, queries)
	if err != nil {
		return nil, err
	}
	owners := make([]auth.UserID, 0, len(found))
	for _, f := range found {
		if f.err == nil {
			owners = append(owners, f.payee.ID)
		}
	}
	able, err := a.ledger.HaveWallets(ctx, owners, currency)
	if err != nil {
		return nil, err
	}
	results := make([]openapi.PayeeResult, len(queries))
	for i, q := range queries {
		f := found[q]
		switch {
		case f.err != nil:
		case f.payee.ID == userID(ctx):
			f.err = reject(openapi.PayeeIsSelf, "to", "the payee is you: name another user")
		case !able[f.payee.ID]:
			f.err = reject(openapi.PayeeWalletMissing, "to", "the payee has no wallet in this currency")
		}
		if f.err != nil {
			p := problemOf(f.err)
			results[i].Problem = &p
		} else {
			results[i].Handle = &f.payee.Handle
		}
	}
	return routes.LookUpPayees200JSONResponse{Results: results}, nil
}

// payeeQuery is what a transfer says about its payee. payeeAnswer is the user that it names, or why
// there is none.
type (
	payeeQuery struct {
		to       string
		currency money.Currency
	}
	payeeAnswer struct {
		payee auth.UserRef
		err   error
	}
)

// payee finds the user that one transfer names.
func (a *API) payee(ctx context.Context, q payeeQuery) (auth.UserRef, error) {
	found, err := a.payees(ctx, []payeeQuery{q})
	if err != nil {
		return auth.UserRef{}, err
	}
	return found[q].payee, found[q].err
}

// payees finds the users that transfers name: by handle, by e-mail address, or by the id of a
// wallet. It makes a few queries, however many transfers there are.
func (a *API) payees(ctx context.Context, queries []payeeQuery) (map[payeeQuery]payeeAnswer, error) {
	found := make(map[payeeQuery]payeeAnswer, len(queries))
	var (
		wallets  []uuid.UUID
		walletOf = make(map[payeeQuery]uuid.UUID)
		named    []payeeQuery
		namedAs  []string
		asked    = make(map[payeeQuery]bool, len(queries))
	)
	for _, q := range queries {
		if asked[q] {
			continue
		}
		asked[q] = true
		if id, err := uuid.Parse(q.to); err == nil {
			wallets, walletOf[q] = append(wallets, id), id
		} else {
			named, namedAs = append(named, q), append(namedAs, strings.TrimSpace(q.to))
		}
	}
	if len(named) > 0 {
		users, err := a.auth.FindPayees(ctx, userID(ctx), namedAs)
		if err != nil {
			return nil, err
		}
		for i, q := range named {
			found[q] = payeeAnswer{users[i].User, payeeError(namedAs[i], users[i])}
		}
	}
	if len(wallets) > 0 {
		if err := a.ownersOfWallets(ctx, wallets, walletOf, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// payeeError returns the error for a payee by handle or e-mail address.
func payeeError(to string, found auth.FoundPayee) error {
	if !errors.Is(found.Err, auth.CodeUserNotFound) {
		return found.Err
	}
	if found.Closed {
		return payeeClosed()
	}
	if found.Former {
		return reject(openapi.PayeeRenamed, "to", "the user who had this handle has given it up: ask that person for the current one")
	}
	if strings.Contains(strings.TrimPrefix(to, "@"), "@") {
		return reject(openapi.PayeeNotFound, "to", "no user can be paid by this e-mail address: ask for the handle, as in @bob")
	}
	return reject(openapi.PayeeNotFound, "to", "no user has this handle: check it, as in @bob")
}

// ownersOfWallets adds the answers to queries that name a wallet.
func (a *API) ownersOfWallets(ctx context.Context, ids []uuid.UUID, walletOf map[payeeQuery]uuid.UUID, found map[payeeQuery]payeeAnswer) error {
	wallets, err := a.ledger.WalletOwners(ctx, ids)
	if err != nil {
		return err
	}
	owners := make([]auth.UserID, 0, len(wallets))
	for _, w := range wallets {
		owners = append(owners, w.Owner)
	}
	users, err := a.auth.UsersByID(ctx, owners)
	if err != nil {
		return err
	}
	for q, id := range walletOf {
		w, ok := wallets[id]
		if !ok || w.Currency != q.currency {
			found[q] = payeeAnswer{err: reject(openapi.PayeeNotFound, "to",
				"no wallet in that currency has this id: check both, or name the person, as in @bob")}
			continue
		}
		if users[w.Owner].Status == auth.StatusClosed {
			found[q] = payeeAnswer{err: payeeClosed()}
			continue
		}
		found[q] = payeeAnswer{payee: users[w.Owner]}
	}
	return nil
}

func payeeClosed() error {
	return reject(openapi.PayeeClosed, "to", "this user has closed the account and cannot be paid any more")
}
