// Package shards is a prototype of books on more than one PostgreSQL. kizod does not use it.
//
//	              shard A: users below the bound    shard B: all others
//	Router ──┬──► payer ──► payee                   payer ──► payee       within a shard
//	         │
//	         └──► 1 hold  payer ─ ─ ► clearing
//	                                                2 open  clearing ─ ─ ► payee
//	                                                3 post  clearing ────► payee   decides
//	              4 post  payer ────► clearing, or void it: release the hold
//
// Each shard is a whole ledger. A user, the user's wallets and all of the user's idempotency keys
// live on one shard, which the range of the user's id selects. A transfer within a shard is the
// ledger's own. A transfer between shards is a withdrawal from one and a deposit to the other, and
// the other shard takes the place of the bank: the money is held at the payer until the deposit
// has ended, and each step has a key or changes nothing the second time. So any step may be lost,
// repeated, or taken by several processes at once.
//
// The state of the deposit decides. Nothing else does: a worker that has seen an error knows
// nothing, and reads that state again.
//
// What a product would need beyond this: kinds of its own for both halves, a column of payments for
// the payee in place of the memo, leases for [Router.Resume] as server/settle has them, a cache of
// payees' shards, and lists, events and summaries that are merged from two shards.
package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// Ledger is what the router needs of the ledger of a shard.
type Ledger interface {
	Wallet(ctx context.Context, owner ledger.UserID, c money.Currency) (ledger.Wallet, error)
	Transfer(ctx context.Context, r ledger.TransferRequest) (ledger.Result, error)
	OpenWithdrawal(ctx context.Context, r ledger.TransferRequest) (ledger.Result, error)
	OpenDeposit(ctx context.Context, r ledger.TransferRequest) (ledger.Result, error)
	Settle(ctx context.Context, s ledger.Settlement) (ledger.Result, error)
	Get(ctx context.Context, id uuid.UUID) (ledger.Transfer, error)
}

// Shard is one PostgreSQL with the users whose ids are not below From.
type Shard struct {
	From   ledger.UserID
	Ledger Ledger
	Pool   *pgxpool.Pool // for Resume and Audit
}

// Router sends each transfer to the shards of its payer and its payee.
type Router struct {
	Shards []Shard // in ascending order of From; the first From is zero
}

// payeePrefix begins the memo of a withdrawal that pays a user of another shard.
const payeePrefix = "to user "

// Of returns the shard of a user.
func (r *Router) Of(user ledger.UserID) *Shard {
	home := &r.Shards[0]
	for i := range r.Shards {
		if bytes.Compare(r.Shards[i].From[:], user[:]) <= 0 {
			home = &r.Shards[i]
		}
	}
	return home
}

// Transfer moves money between the wallets of two users. Its memo is not kept if they live on
// different shards. After an error that is no *ledger.Refusal, the outcome is unknown: a retry with
// the same key, or Resume, completes the transfer. The state of a result is never pending.
func (r *Router) Transfer(ctx context.Context, request ledger.TransferRequest) (ledger.Result, error) {
	home, far := r.Of(request.Owner), r.Of(request.Payee)
	if home == far {
		return home.Ledger.Transfer(ctx, request)
	}
	// A wallet is never removed, so that the deposit will find it.
	if _, err := far.Ledger.Wallet(ctx, request.Payee, request.Amount.Currency); err != nil {
		return ledger.Result{}, err
	}
	request.Memo = payeePrefix + request.Payee.String()
	held, err := home.Ledger.OpenWithdrawal(ctx, request)
	if err != nil || held.Transfer.State != ledger.Pending {
		return held, err
	}
	return r.deliver(ctx, home, held.Transfer)
}

// deliver takes the steps of a transfer between shards that are left after the hold.
func (r *Router) deliver(ctx context.Context, home *Shard, held ledger.Transfer) (ledger.Result, error) {
	payee, err := payeeOf(held)
	if err != nil {
		return ledger.Result{}, err
	}
	paid, ref, err := deposit(ctx, r.Of(payee).Ledger, payee, held)
	if err != nil {
		return ledger.Result{}, fmt.Errorf("deposit on the shard of the payee: %w", err)
	}
	return home.Ledger.Settle(ctx, ledger.Settlement{Transfer: held.ID, Executed: paid, BankRef: ref})
}

// deposit pays a held transfer to the payee, unless it has ended before. It reports whether the
// payee has the money, which never changes afterwards.
func deposit(ctx context.Context, far Ledger, payee ledger.UserID, held ledger.Transfer) (paid bool, ref string, err error) {
	opened, err := far.OpenDeposit(ctx, ledger.TransferRequest{Owner: payee, Key: depositKey(held.ID), Amount: held.Amount})
	if refusal, ok := errors.AsType[*ledger.Refusal](err); ok {
		return false, refusal.Transfer.ID.String(), nil
	}
	if err != nil {
		return false, "", err
	}
	d := opened.Transfer
	if d.State == ledger.Pending {
		if d, err = end(ctx, far, d.ID); err != nil {
			return false, "", err
		}
	}
	return d.State == ledger.Posted, d.ID.String(), nil
}

// end posts a deposit, or voids it if the payee's wallet cannot hold the amount.
func end(ctx context.Context, far Ledger, id uuid.UUID) (ledger.Transfer, error) {
	result, err := far.Settle(ctx, ledger.Settlement{Transfer: id, Executed: true})
	if errors.Is(err, ledger.BalanceLimit) {
		result, err = far.Settle(ctx, ledger.Settlement{Transfer: id, Executed: false})
	}
	if errors.Is(err, ledger.SettlementConflicts) { // another process has ended it
		return far.Get(ctx, id)
	}
	return result.Transfer, err
}

func depositKey(held uuid.UUID) string { return "shard-" + held.String() }

func payeeOf(t ledger.Transfer) (payee ledger.UserID, err error) {
	id, ok := strings.CutPrefix(t.Memo, payeePrefix)
	if !ok {
		return payee, problem.Errorf(ledger.Internal, "transfer %s names no payee", t.ID)
	}
	parsed, err := uuid.Parse(id)
	return ledger.UserID(parsed), err
}

// Resume completes every transfer between shards that is open, such as those of a process that
// has crashed. It goes on after an error and returns all errors.
func (r *Router) Resume(ctx context.Context) error {
	const open = `SELECT transfer_id FROM payments WHERE direction = 'withdrawal' AND next_at IS NOT NULL ORDER BY transfer_id`
	var failed error
	for i := range r.Shards {
		home := &r.Shards[i]
		rows, err := home.Pool.Query(ctx, open)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return err
		}
		for _, id := range ids {
			held, err := home.Ledger.Get(ctx, id)
			if err == nil {
				_, err = r.deliver(ctx, home, held)
			}
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
