package main

import (
	"github.com/google/uuid"
)

// checkHistory compares every operation with its row.
//
//	accepted or refused  the row exists, has the id of the answer, and agrees with the answer
//	only failed          there is no row: the answer promised that nothing was done
//	unknown              does not occur any more, since resolve has asked again
//	unrequested          there is no row without an operation
func checkHistory(e *evidence) {
	asked := make(map[ownerKey]bool, len(e.operations))
	for _, o := range e.operations {
		key := ownerKey{o.user.id, o.key}
		asked[key] = true
		row, answer := e.books.byKey[key], o.conclusion()
		switch answer.Outcome {
		case accepted:
			e.checkAccepted(o, answer, row)
		case refused:
			if row == nil || row.State != "refused" || row.Reason != answer.Code || row.ID != answer.Transfer {
				e.found.add("history: refused", "the stored refusal differs from the answer\n%s\nrow %s", o, row.text())
			}
		case failed:
			if row != nil {
				e.found.add("history: ghost", "the answer was that nothing was done, but the row exists\n%s\nrow %s", o, row.text())
			}
		case unknown:
			e.found.add("history: unresolved", "the outcome stays unknown although every fault has ended\n%s\nrow %s", o, row.text())
		}
	}
	for key, row := range e.books.byKey {
		if !asked[key] {
			e.found.add("history: unrequested", "no operation asked for this row: %s", row.text())
		}
	}
}

// checkAtomic: the transfers of an atomic batch were all refused, or none was.
func checkAtomic(e *evidence) {
	isRefused := func(o *operation) bool { return o.conclusion().Outcome == refused }
	for _, o := range e.operations {
		if o.atomic != nil && isRefused(o) != isRefused(o.atomic[0]) {
			e.found.add("atomic", "only one transfer of an atomic batch was refused\n%s\n%s", o.atomic[0], o)
		}
	}
}

func (t *transferRow) text() string {
	if t == nil {
		return "none"
	}
	return t.Text
}

func (e *evidence) checkAccepted(o *operation, answer attempt, row *transferRow) {
	if row == nil {
		e.found.add("history: lost", "what was acknowledged is not in the books\n%s", o)
		return
	}
	about := row
	if o.kind == capture || o.kind == void { // the answer is about the authorization
		about = nil
		if row.Target != nil {
			about = e.books.transfers[*row.Target]
		}
	}
	if about == nil || about.ID != answer.Transfer || row.State == "refused" || row.Kind != string(o.kind) ||
		(o.amount != 0 && row.Amount != o.amount) || !e.parties(o, about) {
		e.found.add("history: differs", "the row is not what was asked for and acknowledged\n%s\nrow %s", o, row.text())
	}
}

// parties reports whether the row has the debtor and the creditor of the operation.
func (e *evidence) parties(o *operation, row *transferRow) bool {
	switch o.kind {
	case transfer, authorize:
		return row.debitor == o.user.id && row.creditor == o.payee.id
	case deposit:
		return row.debitor == uuid.Nil && row.creditor == o.user.id
	case withdrawal:
		return row.debitor == o.user.id && row.creditor == uuid.Nil
	case reversal:
		return row.debitor == o.user.id && row.creditor == o.target.user.id && row.Target != nil && *row.Target == o.target.conclusion().Transfer
	default: // row is the authorization that was captured or voided
		return row.ID == o.target.conclusion().Transfer
	}
}

// checkReplays compares the answers to one key. They must agree on everything that cannot
// change, and an attempt that begins after a definite answer must get a replay.
func checkReplays(e *evidence) {
	for _, o := range e.operations {
		tries := o.tries()
		first := -1
		for i, a := range tries {
			if a.Outcome == failed && a.Status != 0 && a.Status != 503 {
				e.found.add("replay", "an answer that contradicts the other answers to the key\n%s", o)
			}
			if !a.definite() {
				continue
			}
			if first < 0 {
				first = i
				continue
			}
			b := tries[first]
			same := a.Outcome == b.Outcome && a.Transfer == b.Transfer && a.Code == b.Code && a.Kind == b.Kind && a.Amount == b.Amount
			late := a.Began > b.Ended && !a.Replayed
			if !same || late || (b.State != "pending" && a.State != b.State && o.kind != capture && o.kind != void) {
				e.found.add("replay", "two answers to one key differ, or the later one is no replay\n%s", o)
			}
		}
	}
}

// checkBalances adds up the answers that clients got and the bank's journal, without the
// ledger's tables, and compares the sums with the balances of the accounts.
func checkBalances(e *evidence) {
	balance := make(map[uuid.UUID]int64)
	move := func(from, to uuid.UUID, amount int64) {
		balance[from] -= amount
		balance[to] += amount
	}
	executed := make(map[string]bool)
	for _, entry := range e.journal {
		executed[entry.Ref] = entry.Status == "executed"
	}
	for _, o := range e.operations {
		answer := o.conclusion()
		if answer.Outcome != accepted {
			continue
		}
		switch o.kind {
		case transfer:
			move(o.user.id, o.payee.id, o.amount)
		case reversal:
			move(o.user.id, o.target.user.id, answer.Amount)
		case capture:
			amount := o.amount
			if amount == 0 {
				amount = o.target.amount
			}
			move(o.target.user.id, o.user.id, amount)
		case deposit:
			if executed[answer.Transfer.String()] && !e.openPayment(answer.Transfer) {
				move(uuid.Nil, o.user.id, o.amount)
			}
		case withdrawal:
			if executed[answer.Transfer.String()] && !e.openPayment(answer.Transfer) {
				move(o.user.id, uuid.Nil, o.amount)
			}
		default: // an authorization or a void moves no money
		}
	}
	for _, u := range e.users {
		wallet, ok := e.books.wallet(u.id)
		if !ok || wallet.Balance != balance[u.id] || wallet.Balance < 0 || wallet.Balance-wallet.Held < 0 {
			e.found.add("balances", "%s has %d (held %d) in the books, and %d according to the API's answers and the bank's journal",
				u.handle, wallet.Balance, wallet.Held, balance[u.id])
		}
	}
}

// openPayment reports whether an operator has not decided the payment yet.
func (e *evidence) openPayment(id uuid.UUID) bool {
	row := e.books.transfers[id]
	return row != nil && row.State == "pending"
}
