package ledger

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/problem"
)

// MaxGroup is the maximum number of transfers of one call of TransferMany. An atomic group of that
// size fits into one batch.
const MaxGroup = 500

// GroupRequest is one transfer of TransferMany.
type GroupRequest struct {
	TransferRequest
	Authorize bool // as [Ledger.Authorize] does, rather than [Ledger.Transfer]
}

// GroupResult is the outcome of one transfer of TransferMany: what Transfer or Authorize would
// have returned.
type GroupResult struct {
	Result Result
	Err    error
}

// TransferMany executes up to [MaxGroup] transfers and returns as many results, in the same order.
// They cost less than as many calls of Transfer, and wait while single commands fill the batches.
//
// If atomic is false, each transfer has an outcome of its own, as if all had been sent at once: the
// same key sent to Transfer is a replay, and a transfer may overtake one whose row is locked.
//
// If atomic is true, all take effect or none does, and their keys belong to this set of transfers:
// one of them with another set fails with KeyReused. If a transfer breaks a rule, all of them are
// refused and stored, those that broke none with BatchRefused. If one has an error that stores
// nothing, nothing is stored, and the others have BatchRefused as an error.
func (l *Ledger) TransferMany(ctx context.Context, requests []GroupRequest, atomic bool) []GroupResult {
	results := make([]GroupResult, len(requests))
	commands, positions := make([]*command, 0, len(requests)), make([]int, 0, len(requests))
	keys := make(map[ownerKey]bool, len(requests))
	wallets := l.walletsOf(ctx, requests)
	for i, r := range requests {
		op := opTransfer
		if r.Authorize {
			op = opAuthorize
		}
		c, err := l.newCommand(ctx, op, r.TransferRequest, wallets)
		if k := (ownerKey{r.Owner, r.Key}); err == nil && atomic && keys[k] {
			err = problem.New(KeyReused, "this idempotency key is in the batch twice: give each transfer a key of its own")
		} else {
			keys[k] = true
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		commands, positions = append(commands, c), append(positions, i)
	}
	if len(commands) == 0 {
		return results
	}
	if atomic && len(commands) < len(requests) {
		for _, i := range positions {
			results[i].Err = problem.New(BatchRefused, refusalText(BatchRefused))
		}
		return results
	}
	submit := l.submitMany
	if atomic {
		submit = l.submitAtomically
	}
	for n, o := range submit(ctx, commands) {
		results[positions[n]] = GroupResult{o.result, o.err}
	}
	return results
}

// walletsOf looks the wallets of all requests up together, and returns a function that finds them.
func (l *Ledger) walletsOf(ctx context.Context, requests []GroupRequest) findWallet {
	keys := make([]walletKey, 0, 2*len(requests))
	for i := range requests {
		r := &requests[i]
		keys = append(keys, walletKey{r.Owner, r.Amount.Currency}, walletKey{r.Payee, r.Amount.Currency})
	}
	found, err := l.walletIDs(ctx, keys)
	return func(_ context.Context, owner UserID, c money.Currency) (AccountID, error) {
		return found[walletKey{owner, c}], err
	}
}

// submitMany executes commands and returns their outcomes. All are queued before the first is
// awaited, so that one batch can take several.
func (l *Ledger) submitMany(ctx context.Context, commands []*command) []outcome {
	queued := make([]*queuedCommand, len(commands))
	outcomes := make([]outcome, len(commands))
	for i, c := range commands {
		queued[i] = &queuedCommand{command: c, bulk: true, outcome: make(chan outcome, 1)}
		outcomes[i].err = l.enqueue(queued[i])
	}
	for i, q := range queued {
		if outcomes[i].err == nil {
			outcomes[i] = await(ctx, q)
		}
	}
	return outcomes
}

// submitAtomically executes commands as one atomic group, and returns their outcomes.
func (l *Ledger) submitAtomically(ctx context.Context, commands []*command) []outcome {
	bindFingerprints(commands)
	o := l.submitMany(ctx, []*command{{op: opAtomicGroup, group: commands}})[0]
	if o.err != nil {
		o.group = make([]outcome, len(commands))
		for i := range o.group {
			o.group[i].err = o.err
		}
	}
	return o.group
}

// bindFingerprints makes the fingerprint of each command depend on all of them. A key of an atomic
// group is then a replay only together with the whole group, so that either all of its keys have
// been used or none has.
func bindFingerprints(commands []*command) {
	var all encoder
	for _, c := range commands {
		all.text(c.key)
		all.buf = append(all.buf, c.fingerprint[:]...)
	}
	group := all.sum()
	for _, c := range commands {
		var e encoder
		e.text("kizo.atomic.v1")
		e.buf = append(append(e.buf, c.fingerprint[:]...), group[:]...)
		c.fingerprint = sha256.Sum256(e.buf)
	}
}

// size returns the number of commands: 1, or those of the atomic group.
func (c *command) size() int { return max(1, len(c.group)) }

func countCommands(commands []*command) int {
	n := 0
	for _, c := range commands {
		n += c.size()
	}
	return n
}

// decideAtomically decides the commands in order. If one of them fails, it undoes all of them, and
// then refuses all of them if every failure is a refusal.
func (b *batch) decideAtomically(commands []*command) []outcome {
	_, replay := b.byKey[ownerKey{commands[0].owner, commands[0].key}]
	before := b.checkpoint(commands)
	outcomes := make([]outcome, len(commands))
	failed, stored := false, true
	for i, c := range commands {
		outcomes[i] = b.decide(c)
		if outcomes[i].err != nil {
			failed = true
			stored = stored && isRefusal(outcomes[i].err)
		}
	}
	if !failed || replay && stored {
		return outcomes
	}
	b.restore(before)
	for i, c := range commands {
		switch {
		case stored:
			outcomes[i] = b.refuseGrouped(c, outcomes[i].err)
		case outcomes[i].err == nil || isRefusal(outcomes[i].err):
			outcomes[i] = outcome{err: problem.New(BatchRefused, refusalText(BatchRefused))}
		}
	}
	return outcomes
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*Refusal](err)
	return ok
}

// refuseGrouped stores a command of an atomic group as refused: with the code of its own refusal,
// or with BatchRefused if it broke no rule.
func (b *batch) refuseGrouped(c *command, err error) outcome {
	kind, code := KindTransfer, BatchRefused
	if c.op == opAuthorize {
		kind = KindAuthorization
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		code = problem.Code(refusal.Transfer.Reason)
	}
	t := b.insert(c, kind, c.debit, c.credit)
	if kind == KindAuthorization && t.ExpiresAt.IsZero() {
		t.ExpiresAt = b.now.Add(DefaultAuthorization)
	}
	return b.refuse(t, code)
}

// checkpoint is what transfers and authorizations change in a batch.
type checkpoint struct {
	accounts                   map[AccountID]account
	inserted, postings, events int
	limits                     limitCheckpoint
	walletLimits               walletLimitCheckpoint
}

func (b *batch) checkpoint(commands []*command) checkpoint {
	p := checkpoint{
		make(map[AccountID]account), len(b.inserted), len(b.postings), len(b.events),
		b.limitBook.checkpoint(), b.walletLimits.checkpoint(),
	}
	for _, c := range commands {
		for _, id := range [...]AccountID{c.debit, c.credit} {
			if a := b.accounts[id]; a != nil {
				p.accounts[id] = *a
			}
		}
	}
	return p
}

func (b *batch) restore(p checkpoint) {
	for id, a := range p.accounts {
		*b.accounts[id] = a
	}
	for _, row := range b.inserted[p.inserted:] {
		t := row.transfer
		delete(b.byKey, ownerKey{t.Owner, t.Key})
		delete(b.byID, t.ID)
	}
	b.inserted, b.postings, b.events = b.inserted[:p.inserted], b.postings[:p.postings], b.events[:p.events]
	b.limitBook.restore(p.limits)
	b.walletLimits.restore(p.walletLimits)
}

// awaitStandby writes to the log of the database, and so waits until everything that was committed
// before is on the synchronous standby. Without one it does nothing.
const awaitStandby = `SELECT pg_logical_emit_message(true, 'kizo', '') WHERE current_setting('synchronous_standby_names') <> ''`

// Replay returns the results that earlier commands had under the keys of requests, whatever their
// payees: it answers requests whose payee cannot be found any more. The result of a key that was
// never used is nil. A key that was used with another amount, currency, memo or kind has the error
// KeyReused.
func (l *Ledger) Replay(ctx context.Context, requests []GroupRequest) ([]*GroupResult, error) {
	results := make([]*GroupResult, len(requests))
	owners, keys := make([][16]byte, len(requests)), make([]string, len(requests))
	for i := range requests {
		owners[i], keys[i] = requests[i].Owner, requests[i].Key
	}
	rows, err := l.pool.Query(ctx, findKeys, planEachTime, owners, keys)
	if err != nil {
		return nil, unavailable("look the keys up", err)
	}
	defer rows.Close()
	b := newBatch(len(requests))
	if err := b.scanTransfers(rows); err != nil {
		return nil, unavailable("look the keys up", err)
	}
	if len(b.byKey) > 0 {
		if _, err := l.pool.Exec(ctx, awaitStandby); err != nil {
			return nil, unavailable("look the keys up", err)
		}
	}
	for i := range requests {
		t := b.byKey[ownerKey{requests[i].Owner, requests[i].Key}]
		switch {
		case t == nil:
		case !requests[i].describes(t):
			results[i] = &GroupResult{Err: keyReused()}
		default:
			o := answer(t, true)
			results[i] = &GroupResult{o.result, o.err}
		}
	}
	return results, nil
}

// describes reports whether t can be the result of the request, for some payee.
func (r *GroupRequest) describes(t *Transfer) bool {
	kind := KindTransfer
	if r.Authorize {
		kind = KindAuthorization
	}
	return t.Kind == kind && t.Amount == r.Amount && t.Memo == r.Memo && t.Tags == r.Tags
}
