package ledger_test

import (
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// model is a simple implementation of the ledger: it executes one command after the other, in
// memory and without keys. history_test.go checks the keys.
type model struct {
	wallets   map[modelWalletKey]*modelWallet
	keySpent  map[int]int64 // today, by the key of the user
	transfers map[uuid.UUID]*entry
	frozen    map[int]bool // users, with all wallets, also those opened later
}

// modelWalletKey names a wallet. The bank is user −1.
type modelWalletKey struct {
	user     int
	currency money.Currency
}

type modelWallet struct {
	balance, held int64
	frozen        bool
	limit         modelLimit
	next          *modelLimit // that waits
	spent         int64       // today
}

// modelLimit is a limit of a wallet, or of the key of a user; 0 is no maximum.
type modelLimit struct{ perTransfer, perDay int64 }

func (l modelLimit) allows(spent, amount int64) bool {
	return (l.perTransfer == 0 || amount <= l.perTransfer) && (l.perDay == 0 || spent+amount <= l.perDay)
}

// set asks for another limit: each maximum that is lower holds at once.
func (w *modelWallet) set(want modelLimit) {
	lower := func(a, b int64) int64 {
		if a == 0 || b == 0 {
			return max(a, b)
		}
		return min(a, b)
	}
	w.limit = modelLimit{lower(w.limit.perTransfer, want.perTransfer), lower(w.limit.perDay, want.perDay)}
	if w.next = &want; w.limit == want {
		w.next = nil
	}
}

type entry struct {
	kind     stepKind
	state    ledger.State
	from, to modelWalletKey
	amount   int64
	posted   int64
	reversed int64
	fence    int64
	lapsed   bool // its expiry has passed
	expired  bool // it was voided for that reason
	byKey    bool // counts for the key of the user who pays
	counts   bool // counts for the limit of the wallet
}

const bank = -1

func newModel() *model {
	m := &model{map[modelWalletKey]*modelWallet{}, map[int]int64{}, map[uuid.UUID]*entry{}, map[int]bool{}}
	for _, c := range currencies {
		m.wallets[modelWalletKey{bank, c}] = &modelWallet{}
		for user := range unopened {
			m.wallets[modelWalletKey{user, c}] = &modelWallet{}
		}
	}
	return m
}

// answer is the answer that the ledger must give to a request at this moment.
type answer struct {
	code     problem.Code // "" if the request is executed
	state    ledger.State
	posted   int64
	replayed bool          // Settle only: it was settled with the same outcome before
	after    ledger.Wallet // Preview only
}

// execute returns the answer to r. If commit is set, it also executes r, with id as the id of a new
// transfer.
func (m *model) execute(r request, id uuid.UUID, commit bool) answer {
	if code := m.mayFollowUp(r); code != "" {
		return answer{code: code}
	}
	switch r.kind {
	case capture, void:
		return m.resolve(r, commit)
	case reverse:
		return m.reverse(r, id, commit)
	case settle:
		return m.settle(r, commit)
	default:
		return m.create(r, id, commit)
	}
}

func (m *model) create(r request, id uuid.UUID, commit bool) answer {
	e := entry{kind: r.kind, from: modelWalletKey{r.who, r.currency}, amount: r.amount, byKey: r.limited && r.kind != deposit}
	switch r.kind {
	case transfer, authorize, preview:
		e.to = modelWalletKey{r.payee, r.currency}
	case withdraw:
		e.to = modelWalletKey{bank, r.currency}
	case deposit:
		e.from, e.to = modelWalletKey{bank, r.currency}, e.from
	}
	if m.wallets[modelWalletKey{r.who, r.currency}] == nil {
		return answer{code: ledger.WalletNotFound}
	}
	if code := m.validate(e); code != "" {
		if commit {
			e.state = ledger.Refused
			m.transfers[id] = &e
		}
		return answer{code: code, state: ledger.Refused}
	}
	holds := r.kind == authorize || r.kind == withdraw || r.kind == preview && r.authorize
	if r.kind == preview {
		w := ledger.Wallet{Balance: m.wallets[e.from].balance, Held: m.wallets[e.from].held}
		if holds {
			w.Held += r.amount
		} else {
			w.Balance -= r.amount
		}
		return answer{after: w}
	}
	a := answer{state: ledger.Pending}
	if r.kind == transfer {
		a.state, a.posted = ledger.Posted, r.amount
	}
	if !commit {
		return a
	}
	e.state = ledger.Pending
	m.transfers[id] = &e
	m.count(&e)
	if holds {
		m.wallets[e.from].held += r.amount
	}
	if r.kind == transfer {
		m.move(&e, r.amount)
	}
	return a
}

func (m *model) validate(e entry) problem.Code {
	from, to := m.wallets[e.from], m.wallets[e.to]
	switch {
	case to == nil:
		return ledger.PayeeWalletMissing
	case from.frozen || to.frozen:
		return ledger.AccountFrozen
	case e.from.user != bank && from.balance-from.held < e.amount:
		return ledger.InsufficientFunds
	case e.byKey && !keyAllows(e.from, e.to.user, m.keySpent[e.from.user], e.amount):
		return ledger.LimitExceeded
	case !from.limit.allows(from.spent, e.amount):
		return ledger.LimitExceeded
	}
	return ""
}

// count counts a new transfer for the limits.
func (m *model) count(e *entry) {
	from := m.wallets[e.from]
	e.counts = from.limit != modelLimit{}
	m.giveBack(e, -e.amount)
}

// giveBack gives back what a transfer counted.
func (m *model) giveBack(e *entry, amount int64) {
	if e.byKey {
		m.keySpent[e.from.user] -= amount
	}
	if e.counts {
		m.wallets[e.from].spent -= amount
	}
}

// mayFollowUp returns why a user may not capture, void or reverse the target of r, or "".
func (m *model) mayFollowUp(r request) problem.Code {
	if r.kind != capture && r.kind != void && r.kind != reverse {
		return ""
	}
	e := m.transfers[r.target]
	switch {
	case r.who == e.from.user:
		return ledger.Forbidden
	case r.who != e.to.user || e.state == ledger.Refused:
		return ledger.TransferNotFound
	}
	return ""
}

// resolve captures or voids an authorization.
func (m *model) resolve(r request, commit bool) answer {
	e := m.transfers[r.target]
	amount := r.amount
	if amount == 0 || r.kind == void {
		amount = e.amount
	}
	switch {
	case e.expired || e.state == ledger.Pending && e.lapsed:
		return answer{code: ledger.AuthorizationExpired}
	case e.kind != authorize || e.state != ledger.Pending:
		return answer{code: ledger.TransferNotPending}
	case r.kind == void:
		if commit {
			m.end(e)
		}
		return answer{state: ledger.Voided}
	case amount > e.amount:
		return answer{code: ledger.CaptureExceedsHold}
	}
	if commit {
		m.end(e)
		m.giveBack(e, -amount)
		m.move(e, amount)
	}
	return answer{state: ledger.Posted, posted: amount}
}

func (m *model) reverse(r request, id uuid.UUID, commit bool) answer {
	target := m.transfers[r.target]
	left := target.posted - target.reversed
	amount := r.amount
	if amount == 0 {
		amount = max(left, 1)
	}
	e := entry{kind: reverse, from: target.to, to: target.from, amount: amount, byKey: r.limited}
	var code problem.Code
	switch {
	case target.kind != transfer && target.kind != authorize, target.state != ledger.Posted:
		code = ledger.TransferNotReversible
	case amount > left:
		code = ledger.ReversalExceedsTransfer
	default:
		code = m.validate(e)
	}
	if commit {
		m.transfers[id] = &e
	}
	if code != "" {
		e.state = ledger.Refused
		return answer{code: code, state: ledger.Refused}
	}
	if commit {
		target.reversed += amount
		m.count(&e)
		m.move(&e, amount)
	}
	return answer{state: ledger.Posted, posted: amount}
}

func (m *model) settle(r request, commit bool) answer {
	e := m.transfers[r.target]
	state := ledger.Voided
	if r.executed {
		state = ledger.Posted
	}
	switch {
	case e.state == ledger.Refused:
		return answer{code: ledger.TransferNotFound} // it has no payment
	case r.fence != e.fence:
		return answer{code: ledger.Fenced}
	case e.state == state:
		return answer{state: state, posted: e.posted, replayed: true}
	case e.state != ledger.Pending:
		return answer{code: ledger.SettlementConflicts}
	}
	a := answer{state: state}
	if r.executed {
		a.posted = e.amount
	}
	if commit {
		m.end(e)
		if r.executed {
			m.giveBack(e, -e.amount)
			m.move(e, e.amount)
		}
	}
	return a
}

// end voids a pending transfer; move may follow.
func (m *model) end(e *entry) {
	if e.kind != deposit {
		m.wallets[e.from].held -= e.amount
	}
	m.giveBack(e, e.amount)
	e.state = ledger.Voided
}

func (m *model) move(e *entry, amount int64) {
	m.wallets[e.from].balance -= amount
	m.wallets[e.to].balance += amount
	e.state, e.posted = ledger.Posted, amount
}
