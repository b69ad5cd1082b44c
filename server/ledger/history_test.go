package ledger_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/ledger"
)

// checkHistory checks a concurrent history against the model.
//
// Every command that changes the tables appends an event while it holds the locks of all its
// accounts. Therefore the model, executing one command after the other in the order of the event
// ids, must give the same answers as the ledger; no search for an order is needed. The order must
// also respect real time: a call that had ended before another began comes before it.
//
// A command without an event (a preview, a refused capture, a stale fence) has changed nothing.
// There must be a moment between its beginning and its end at which the model gives the same answer
// as the ledger. Events of different accounts may be committed in another order than that of their
// ids, so only events that the answer may depend on limit that moment (see momentsOf).
//
// Repeated keys are checked without an order: of all calls with one key, exactly one is the first.
// Calls with the same body get its answer again, and all others fail with KeyReused.
func checkHistory(ctx context.Context, p *player) error {
	events, err := readEvents(ctx, p.app, p.history[0].after)
	if err != nil {
		return err
	}
	if err := checkKeys(p.history); err != nil {
		return err
	}
	m := newModel()
	for i, ph := range p.history {
		end := int64(math.MaxInt64)
		if i+1 < len(p.history) {
			end = p.history[i+1].after
		}
		for _, mark := range ph.marks {
			m.mark(mark)
		}
		n := 0
		for n < len(events) && events[n].id <= end {
			n++
		}
		if err := checkPhase(m, ph, events[:n]); err != nil {
			return fmt.Errorf("phase %d: %w", i, err)
		}
		events = events[n:]
	}
	return compareBooks(ctx, p, m)
}

type loggedEvent struct {
	id       int64
	transfer uuid.UUID
	state    ledger.State
	created  time.Time // when the transfer was inserted: one time for all transfers of a batch
}

func readEvents(ctx context.Context, conn *pgx.Conn, after int64) ([]loggedEvent, error) {
	rows, err := conn.Query(ctx, `SELECT e.id, e.transfer_id, e.state, t.created_at
		FROM all_events e JOIN transfers t ON t.id = e.transfer_id WHERE e.id > $1 ORDER BY e.id`, after)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e loggedEvent, err error) {
		return e, row.Scan(&e.id, &e.transfer, &e.state, &e.created)
	})
}

func (m *model) mark(a appliedMark) {
	switch a.kind {
	case freeze, thaw:
		m.frozen[a.user] = a.kind == freeze
		for _, c := range currencies {
			if wallet := m.wallets[modelWalletKey{a.user, c}]; wallet != nil {
				wallet.frozen = a.kind == freeze
			}
		}
	case open:
		for _, c := range currencies {
			if key := (modelWalletKey{a.user, c}); m.wallets[key] == nil {
				m.wallets[key] = &modelWallet{frozen: m.frozen[a.user]}
			}
		}
	case claim:
		m.transfers[a.target].fence++
	case lapse:
		if e := m.transfers[a.target]; e.state == ledger.Pending {
			e.lapsed = true
		}
	case limit:
		m.wallets[modelWalletKey{a.user, currencies[0]}].set(walletLimits[a.n%len(walletLimits)])
	case raise:
		for _, w := range m.wallets {
			if w.next != nil {
				w.limit, w.next = *w.next, nil
			}
		}
	}
}

// expectedEvent returns the event that a call must have appended, or false if there is none.
func (c *call) expectedEvent() (loggedEvent, bool) {
	switch {
	case c.kind == preview || c.kind == expire:
		return loggedEvent{}, false
	case c.err == nil && !c.result.Replayed:
		return loggedEvent{transfer: c.result.Transfer.ID, state: c.result.Transfer.State}, true
	case c.err != nil && c.err.Transfer != nil && !c.err.Replayed && c.kind != capture && c.kind != void:
		return loggedEvent{transfer: c.err.Transfer.ID, state: ledger.Refused}, true
	}
	return loggedEvent{}, false
}

func checkPhase(m *model, ph played, events []loggedEvent) error {
	type eventKey struct {
		transfer uuid.UUID
		state    ledger.State
	}
	writers := map[eventKey]*call{}
	var readOnly []*call // calls that changed nothing
	expired := 0
	for _, c := range ph.calls {
		event, wrote := c.expectedEvent()
		key := eventKey{event.transfer, event.state}
		switch {
		case wrote && writers[key] != nil:
			return fmt.Errorf("two calls report the same effect: %v and %v", writers[key], c)
		case wrote:
			writers[key] = c
		case c.kind == expire && c.err == nil:
			expired += c.expired
		case !keyRepeats(c):
			readOnly = append(readOnly, c)
		}
	}
	written := make([]*call, len(events)) // the call that has appended each event; nil if none
	latest := int64(0)
	for i, e := range events {
		key := eventKey{e.transfer, e.state}
		written[i] = writers[key]
		delete(writers, key)
		if c := written[i]; c != nil {
			if c.ret < latest {
				return fmt.Errorf("an event comes after that of a call which began later: %v", c)
			}
			latest = max(latest, c.inv)
		}
	}
	for _, c := range writers {
		return fmt.Errorf("a successful call has appended no event: %v", c)
	}
	moments := m.momentsOf(readOnly, events, written)
	executed := make([]bool, len(events)) // refusals before their events
	for i := 0; ; i++ {
		moments = removeExplained(m, moments, i)
		if i == len(events) {
			break
		}
		if refuseEarly(m, events[i:], written[i:], executed[i:]); executed[i] {
			continue
		}
		if written[i] == nil {
			e := m.transfers[events[i].transfer]
			if e == nil || e.kind != authorize || e.state != ledger.Pending || !e.lapsed || events[i].state != ledger.Voided {
				return fmt.Errorf("no call has caused the event %+v of %+v", events[i], e)
			}
			m.end(e)
			e.expired = true
			expired--
			continue
		}
		if got := m.execute(written[i].request, events[i].transfer, true); !written[i].agrees(got) {
			return fmt.Errorf("the model answers %+v to %v", got, written[i])
		}
	}
	if len(moments) > 0 {
		return fmt.Errorf("the model gives this answer at no moment (now %+v): %v",
			m.execute(moments[0].request, uuid.Nil, false), moments[0].call)
	}
	if expired != 0 {
		return fmt.Errorf("ExpireDue returned %d more than it has voided", expired)
	}
	return nil
}

// refuseEarly executes, at the first moment where the model gives their answers, the refusals of
// the batch that has appended the first event. A batch appends the events of the transfers that it
// has posted at once before all others, so that a refusal may have been decided before events that
// precede its own.
func refuseEarly(m *model, events []loggedEvent, written []*call, executed []bool) {
	for i, e := range events {
		if e.state != ledger.Refused || written[i] == nil || executed[i] || !e.created.Equal(events[0].created) {
			continue
		}
		if written[i].agrees(m.execute(written[i].request, e.transfer, false)) {
			m.execute(written[i].request, e.transfer, true)
			executed[i] = true
		}
	}
}

// moments are the places among the events of a phase at which a call may have been executed.
type moments struct {
	*call
	first, last int // before event number first, …, before event number last
}

// momentsOf returns the moments of calls that changed nothing.
//
// Commands that share an account lock it one after the other, so their events are in the order of
// their commits. A call was executed after every command that had ended before it began, and after
// each earlier one that shares an account with such a command, and so on; the same holds for the
// commands that began after it had ended. Of these, only the events of the accounts that the answer
// depends on limit where the model may give it.
func (m *model) momentsOf(calls []*call, events []loggedEvent, written []*call) []moments {
	touched := make([][]modelWalletKey, len(events))
	for i, e := range events {
		if written[i] != nil {
			touched[i] = m.accountsOf(written[i].request)
		} else if expired := m.transfers[e.transfer]; expired != nil {
			touched[i] = []modelWalletKey{expired.from, expired.to}
		}
	}
	shares := func(keys []modelWalletKey, others map[modelWalletKey]bool) bool {
		return slices.ContainsFunc(keys, func(k modelWalletKey) bool { return others[k] })
	}
	all := make([]moments, len(calls))
	for n, c := range calls {
		depends := map[modelWalletKey]bool{}
		for _, key := range m.accountsOf(c.request) {
			depends[key] = true
		}
		at := moments{c, 0, len(events)}
		before, after := map[modelWalletKey]bool{}, map[modelWalletKey]bool{} // accounts of the commands before and after c
		add := func(keys []modelWalletKey, to map[modelWalletKey]bool) bool {
			for _, key := range keys {
				to[key] = true
			}
			return shares(keys, depends)
		}
		for i := len(events) - 1; i >= 0; i-- {
			if w := written[i]; (w != nil && w.ret < c.inv || shares(touched[i], before)) && add(touched[i], before) {
				at.first = max(at.first, i+1)
			}
		}
		for i := range events {
			if w := written[i]; (w != nil && w.inv > c.ret || shares(touched[i], after)) && add(touched[i], after) {
				at.last = min(at.last, i)
			}
		}
		all[n] = at
	}
	return all
}

// accountsOf returns the accounts that a command locks, or whose balance a preview depends on.
func (m *model) accountsOf(r request) []modelWalletKey {
	own := modelWalletKey{r.who, r.currency}
	var keys []modelWalletKey
	switch e := m.transfers[r.target]; {
	case r.kind == preview:
		keys = []modelWalletKey{own}
	case r.kind == transfer || r.kind == authorize:
		keys = []modelWalletKey{own, {r.payee, r.currency}}
	case r.kind == withdraw || r.kind == deposit:
		keys = []modelWalletKey{own, {bank, r.currency}}
	case e != nil:
		keys = []modelWalletKey{e.from, e.to}
	}
	return slices.DeleteFunc(keys, func(k modelWalletKey) bool { return m.wallets[k] == nil })
}

// removeExplained removes the calls to which the model gives the same answer before event i, if
// they may have been executed there.
func removeExplained(m *model, calls []moments, i int) []moments {
	return slices.DeleteFunc(calls, func(c moments) bool {
		return c.first <= i && i <= c.last && c.agrees(m.execute(c.request, uuid.Nil, false))
	})
}

// agrees compares an answer of the model with the ledger's.
func (c *call) agrees(a answer) bool {
	if c.code() != a.code {
		return false
	}
	switch {
	case c.err != nil:
		return true
	case c.kind == preview:
		return c.after.Balance == a.after.Balance && c.after.Held == a.after.Held
	default:
		t := c.result.Transfer
		return t.State == a.state && t.PostedAmount == a.posted && (c.kind != settle || c.result.Replayed == a.replayed)
	}
}

// notAllowed reports whether a follow-up was rejected because the user is not the receiver of its
// target. Its key is not stored.
func (c *call) notAllowed() bool {
	return c.code() == ledger.Forbidden ||
		c.code() == ledger.TransferNotFound && (c.kind == capture || c.kind == void || c.kind == reverse)
}

// keyRepeats reports whether the answer to a call depends only on its key.
func keyRepeats(c *call) bool {
	switch {
	case c.code() == ledger.KeyReused:
		return true
	case c.err != nil:
		return c.err.Replayed
	default:
		return c.result.Replayed && c.kind != settle
	}
}

func checkKeys(history []played) error {
	type owned struct {
		who int
		key string
	}
	byKey := map[owned][]*call{}
	for _, ph := range history {
		for _, c := range ph.calls {
			if c.key == "" || c.kind == preview || c.code() == ledger.WalletNotFound || c.notAllowed() {
				continue
			}
			if c.err != nil && c.err.Transfer == nil && c.err.Code != ledger.KeyReused {
				return fmt.Errorf("the refusal is not stored: %v", c)
			}
			byKey[owned{c.who, c.key}] = append(byKey[owned{c.who, c.key}], c)
		}
	}
	for at, calls := range byKey {
		var first *call
		for _, c := range calls {
			if keyRepeats(c) {
				continue
			}
			if first != nil {
				return fmt.Errorf("%v had two effects: %v and %v", at, first, c)
			}
			first = c
		}
		if first == nil {
			return fmt.Errorf("%v has no first use: %v", at, calls[0])
		}
		for _, c := range calls {
			if err := repeats(first, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// stored returns the part of a request that its key stands for.
func (r request) stored() request {
	r.limited = false
	return r
}

func repeats(first, c *call) error {
	switch {
	case c == first:
		return nil
	case c.ret < first.inv:
		return fmt.Errorf("a replay ended before the first call began: %v of %v", c, first)
	case c.stored() != first.stored():
		if c.code() != ledger.KeyReused {
			return fmt.Errorf("another body under the key of %v: %v", first, c)
		}
		return nil
	case c.code() != first.code():
		return fmt.Errorf("the replay has another code: %v after %v", c, first)
	case c.err != nil:
		if c.err.Transfer == nil || c.err.Transfer.ID != first.err.Transfer.ID {
			return fmt.Errorf("the replay has another refusal: %v after %v", c, first)
		}
	case c.result.Transfer.ID != first.result.Transfer.ID || c.result.Transfer.Amount != first.result.Transfer.Amount:
		return fmt.Errorf("the replay has another transfer: %v after %v", c, first)
	}
	return nil
}

// compareBooks compares the final state of the model with the tables.
func compareBooks(ctx context.Context, p *player, m *model) error {
	for key, wallet := range m.wallets {
		if key.user == bank {
			continue // shared by all scripts
		}
		w, err := p.ledgers[0].Wallet(ctx, p.users[key.user], key.currency)
		if err != nil {
			return err
		}
		if w.Balance != wallet.balance || w.Held != wallet.held || (w.Status == ledger.Frozen) != wallet.frozen {
			return fmt.Errorf("user %d: the wallet is %+v, the model's %+v", key.user, w, *wallet)
		}
	}
	if err := compareLimits(ctx, p, m); err != nil {
		return err
	}
	rows, err := p.app.Query(ctx, `SELECT id, state, posted_amount, reversed_amount FROM transfers
		WHERE owner = ANY($1) AND kind NOT IN ('capture', 'void')`, p.users)
	if err != nil {
		return err
	}
	var (
		id   uuid.UUID
		have entry
		seen int
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &have.state, &have.posted, &have.reversed}, func() error {
		seen++
		want := m.transfers[id]
		if want == nil || have.state != want.state || have.posted != want.posted || have.reversed != want.reversed {
			return fmt.Errorf("transfer %s is %+v, the model's %+v", id, have, want)
		}
		return nil
	})
	if err == nil && seen != len(m.transfers) {
		err = fmt.Errorf("%d transfers, the model has %d", seen, len(m.transfers))
	}
	return err
}

// compareLimits compares what was spent under the limits, and the limits of the wallets.
func compareLimits(ctx context.Context, p *player, m *model) error {
	keys, err := p.ledgers[0].Limits(ctx, p.keys)
	if err != nil {
		return err
	}
	for user := range userCount {
		if spent := keys[p.keys[user]].SpentToday[0]; spent != m.keySpent[user] {
			return fmt.Errorf("the key of user %d has spent %d, the model's %d", user, spent, m.keySpent[user])
		}
		limits, err := p.ledgers[1].WalletLimits(ctx, p.users[user])
		if err != nil {
			return err
		}
		for _, have := range limits {
			want := m.wallets[modelWalletKey{user, have.Currency}]
			next := want.next != nil && have.Next != nil &&
				(modelLimit{have.Next.MaxPerTransfer, have.Next.MaxPerDay} == *want.next) || want.next == nil && have.Next == nil
			if have.SpentToday != want.spent || (modelLimit{have.MaxPerTransfer, have.MaxPerDay}) != want.limit || !next {
				return fmt.Errorf("user %d: the limit is %+v, the model's wallet %+v", user, have, *want)
			}
		}
	}
	return nil
}

// A preview may be answered between the commits of two commands whose events have the other order,
// if they share no account; it may not miss a command that had ended before it began.
func TestHistoryOfAPreviewBetweenCommits(t *testing.T) {
	t.Parallel()
	const (
		payer = iota
		payee
		other
	)
	pending := func() loggedEvent { return loggedEvent{transfer: uuid.New(), state: ledger.Pending} }
	for name, c := range map[string]struct {
		unrelated  int   // user of the command that ended before the preview began
		withdrawal int64 // when the payer's withdrawal ended; the preview lasts from 10 to 11
		explained  bool
	}{
		"another account, the withdrawal goes on": {other, 20, true},
		"the same account":                        {payer, 20, false},
		"the withdrawal had ended":                {other, 9, false},
	} {
		m := newModel()
		for _, w := range m.wallets {
			w.balance = 100
		}
		events := []loggedEvent{pending(), pending()}
		write := func(e loggedEvent, r request, inv, ret int64) *call {
			r.currency = "USD"
			return &call{request: r, inv: inv, ret: ret, result: ledger.Result{Transfer: ledger.Transfer{ID: e.transfer, State: e.state}}}
		}
		first := write(events[0], request{kind: withdraw, who: payer, amount: 1}, 1, c.withdrawal)
		second := write(events[1], request{kind: authorize, who: c.unrelated, payee: payee, amount: 1}, 2, 3)
		look := write(loggedEvent{}, request{kind: preview, who: payer, payee: payee, amount: 100}, 10, 11)
		err := checkPhase(m, played{calls: []*call{first, second, look}}, events)
		if (err == nil) != c.explained {
			t.Errorf("%s: %v", name, err)
		}
	}
}
