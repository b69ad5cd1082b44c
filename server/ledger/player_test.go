package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// request is a step with its indices resolved, as it is sent to the ledger.
type request struct {
	kind      stepKind
	who       int
	payee     int
	target    uuid.UUID
	amount    int64
	currency  money.Currency
	key       string
	expiresAt time.Time
	executed  bool
	fence     int64
	authorize bool
	limited   bool
}

// call is a request with its outcome. inv and ret are the times at which it began and ended, on one
// logical clock: if a.ret < b.inv, a had ended before b began.
type call struct {
	request
	inv, ret int64
	result   ledger.Result
	err      *refusal      // nil if the request was executed
	after    ledger.Wallet // Preview
	expired  int           // ExpireDue
}

func (c *call) code() problem.Code {
	if c.err == nil {
		return ""
	}
	return c.err.Code
}

func (c *call) String() string {
	return fmt.Sprintf("%v who=%d payee=%d target=%s %d %s key=%s executed=%t fence=%d → %+v %v",
		c.kind, c.who, c.payee, c.target, c.amount, c.currency, c.key, c.executed, c.fence, c.result, c.err)
}

// player runs one script on ledgers that share a database, with users of its own.
type player struct {
	stage
	users    []ledger.UserID
	keys     []uuid.UUID // the limits of the API keys of the users
	clock    atomic.Int64
	base     time.Time
	requests map[int]request // by step number
	fences   map[uuid.UUID]int64
	history  []played
}

// stage is the database that the scripts of one test share.
type stage struct {
	ledgers []*ledger.Ledger
	owner   *pgx.Conn // connects as the owner of the tables, who may move an expiry into the past
	app     *pgx.Conn
}

// played is the record of a phase.
type played struct {
	marks []appliedMark
	calls []*call
	after int64 // id of the last event before the phase
}

type appliedMark struct {
	kind   markKind
	n      int
	user   int
	target uuid.UUID
}

func play(ctx context.Context, s stage, sc script) (*player, error) {
	p := &player{stage: s, base: time.Now(), requests: map[int]request{}, fences: map[uuid.UUID]int64{}}
	for user := range userCount {
		p.users = append(p.users, ledger.UserID(uuid.Must(uuid.NewV7())))
		if err := p.addKey(ctx, user); err != nil {
			return nil, err
		}
		if user == unopened {
			continue
		}
		if err := p.openWallets(ctx, user); err != nil {
			return nil, err
		}
	}
	for _, ph := range slices.Concat(funding(), sc, oppositeTransfers(), repetitions(sc)) {
		if err := p.phase(ctx, ph); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *player) openWallets(ctx context.Context, user int) error {
	for i, c := range currencies {
		if _, err := p.ledgers[i%len(p.ledgers)].OpenWallet(ctx, p.users[user], c); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) addKey(ctx context.Context, user int) error {
	key := ledger.SpendingLimit{ID: uuid.Must(uuid.NewV7()), Owner: p.users[user], Currencies: []ledger.CurrencyLimit{
		{Currency: currencies[0], MaxPerTransfer: keyLimit.perTransfer, MaxPerDay: keyLimit.perDay}}}
	if user == 2 {
		key.Payees = []ledger.UserID{p.users[0]}
	}
	p.keys = append(p.keys, key.ID)
	return p.ledgers[0].AddLimit(ctx, key)
}

// limitOf returns the limit that a request names.
func (p *player) limitOf(r request) uuid.UUID {
	if r.limited {
		return p.keys[r.who]
	}
	return uuid.Nil
}

// setLimit asks for the nth limit of a wallet. It reports whether there is such a wallet.
func (p *player) setLimit(ctx context.Context, user, n int) (bool, error) {
	want := walletLimits[n%len(walletLimits)]
	_, err := p.ledgers[n%len(p.ledgers)].SetWalletLimit(ctx, p.users[user], ledger.CurrencyLimit{
		Currency: currencies[0], MaxPerTransfer: want.perTransfer, MaxPerDay: want.perDay}, nil)
	if errors.Is(err, ledger.WalletNotFound) {
		return false, nil
	}
	return true, err
}

// raiseLimits moves the time from which higher limits hold into the past, as the owner of the
// tables.
func (p *player) raiseLimits(ctx context.Context) error {
	_, err := p.owner.Exec(ctx, `BEGIN; ALTER TABLE wallet_limits DISABLE TRIGGER wallet_limits_raised;
		UPDATE wallet_limits SET next_at = now() - interval '1 second' WHERE next_at IS NOT NULL;
		ALTER TABLE wallet_limits ENABLE TRIGGER wallet_limits_raised; COMMIT`)
	return err
}

// funding returns the beginning of every script: a deposit for each user, and its settlement.
func funding() script {
	var ask, settled phase
	n := 1000 // greater than any number of a generated step
	for user := range unopened {
		for _, c := range currencies {
			s := step{kind: deposit, who: user, amount: opening, currency: c, number: n, repeatOf: -1, keyOf: -1}
			ask.lanes = append(ask.lanes, []step{s})
			s.kind, s.executed, s.target, s.number = settle, true, n-1000, n+500
			settled.lanes = append(settled.lanes, []step{s})
			n++
		}
	}
	return script{ask, settled}
}

// oppositeTransfers returns a phase that follows every script: concurrent transfers between the
// same users in opposite directions.
func oppositeTransfers() script {
	var ph phase
	for lane := range 6 {
		var steps []step
		for i := range 4 {
			who := (lane + i) % unopened
			steps = append(steps, step{
				kind: transfer, who: who, payee: (who + 1 + lane%2) % unopened, amount: 1,
				currency: currencies[0], number: 3000 + 10*lane + i, repeatOf: -1, keyOf: -1,
			})
		}
		ph.lanes = append(ph.lanes, steps)
	}
	return script{ph}
}

// repetitions returns the end of every script: the steps that spent money are repeated, when there
// may be none left.
func repetitions(sc script) script {
	ph := phase{lanes: make([][]step, 4)}
	n := 0
	for _, earlier := range sc {
		for _, s := range slices.Concat(earlier.lanes...) {
			if s.kind <= withdraw && s.repeatOf < 0 {
				ph.lanes[n%4] = append(ph.lanes[n%4], step{number: 4000 + n, repeatOf: s.number, keyOf: -1})
				n++
			}
		}
	}
	return script{ph}
}

func (p *player) phase(ctx context.Context, ph phase) error {
	var now played
	if err := p.app.QueryRow(ctx, `SELECT COALESCE(max(id), 0) FROM all_events`).Scan(&now.after); err != nil {
		return err
	}
	for _, m := range ph.marks {
		if err := p.apply(ctx, m, &now); err != nil {
			return err
		}
	}
	lanes := make([][]*call, len(ph.lanes))
	for i, lane := range ph.lanes {
		for _, s := range lane {
			if r, ok := p.resolve(s); ok {
				lanes[i] = append(lanes[i], &call{request: r})
			}
		}
	}
	var running sync.WaitGroup
	for i, lane := range lanes {
		running.Go(func() {
			for j := 0; j < len(lane); {
				l := p.ledgers[(i+j)%len(p.ledgers)]
				if n := grouped(lane[j:]); i%2 == 1 && n > 1 {
					p.callGroup(ctx, l, lane[j:j+n])
					j += n
				} else {
					p.call(ctx, l, lane[j])
					j++
				}
			}
		})
		now.calls = append(now.calls, lane...)
	}
	running.Wait()
	p.history = append(p.history, now)
	return nil
}

// apply executes a mark. It does nothing if there is no transfer for it.
func (p *player) apply(ctx context.Context, m mark, now *played) error {
	a := appliedMark{kind: m.kind, n: m.n, user: m.n % userCount}
	var err error
	switch m.kind {
	case freeze, thaw:
		status := map[markKind]ledger.Status{freeze: ledger.Frozen, thaw: ledger.Active}[m.kind]
		err = p.ledgers[0].SetStatus(ctx, p.users[a.user], status)
	case open:
		a.user = unopened
		err = p.openWallets(ctx, unopened)
	case claim:
		if a.target = p.pick(m.n, deposit, withdraw); a.target == uuid.Nil {
			return nil
		}
		p.fences[a.target]++
		_, err = p.app.Exec(ctx, `UPDATE payments SET fence = fence + 1 WHERE transfer_id = $1`, a.target)
	case lapse:
		if a.target = p.pick(m.n, authorize); a.target == uuid.Nil {
			return nil
		}
		_, err = p.owner.Exec(ctx, `UPDATE transfers SET expires_at = now() - interval '1 second'
			WHERE id = $1 AND state = 'pending'`, a.target)
	case limit:
		var set bool
		if set, err = p.setLimit(ctx, a.user, m.n); !set {
			return err
		}
	case raise:
		err = p.raiseLimits(ctx)
	}
	now.marks = append(now.marks, a)
	return err
}

// pick returns the nth newest transfer of these kinds from earlier phases.
func (p *player) pick(n int, kinds ...stepKind) uuid.UUID {
	var found []uuid.UUID
	for _, ph := range p.history {
		for _, c := range ph.calls {
			if slices.Contains(kinds, c.kind) && c.err == nil && !c.result.Replayed {
				found = append(found, c.result.Transfer.ID)
			}
		}
	}
	if len(found) == 0 {
		return uuid.Nil
	}
	return found[len(found)-1-n%len(found)]
}

// receiver returns the user who receives the money of a transfer that pick has returned.
func (p *player) receiver(id uuid.UUID) int {
	for _, ph := range p.history {
		for _, c := range ph.calls {
			if c.err == nil && !c.result.Replayed && c.result.Transfer.ID == id && (c.kind == transfer || c.kind == authorize) {
				return c.payee
			}
		}
	}
	return 0
}

// resolve returns the request of a step, or false if there is no transfer for it.
func (p *player) resolve(s step) (request, bool) {
	if s.repeatOf >= 0 {
		r, ok := p.requests[s.repeatOf]
		if ok {
			p.requests[s.number] = r
		}
		return r, ok
	}
	// The request contains only what the ledger receives, so that equal requests have one
	// fingerprint.
	r := request{kind: s.kind, who: s.who, key: fmt.Sprint("key-", s.number)}
	r.limited = s.limited && (s.kind <= withdraw || s.kind == reverse || s.kind == preview)
	if other, ok := p.requests[s.keyOf]; ok && other.key != "" {
		r.key, r.who = other.key, other.who
	}
	switch s.kind {
	case capture, void, reverse:
		if s.kind == reverse {
			r.target = p.pick(s.target, transfer, authorize)
		} else {
			r.target = p.pick(s.target, authorize, transfer)
		}
		if !s.stale && s.keyOf < 0 {
			r.who = p.receiver(r.target)
		}
	case settle:
		r.target, r.key, r.executed = p.pick(s.target, deposit, withdraw), "", s.executed
		r.fence = p.fences[r.target]
		if s.stale && r.fence > 0 {
			r.fence--
		} else if s.stale {
			r.fence++ // a token that no claim has yet is refused like an old one
		}
	case expire:
		r.key = ""
		p.requests[s.number] = r
		return r, true
	default:
		r.amount, r.currency = max(s.amount, 1), s.currency
		if s.kind == transfer || s.kind == authorize || s.kind == preview {
			r.payee = s.payee
		}
		if s.kind == authorize || s.kind == preview {
			r.expiresAt, r.authorize = p.base.Add(time.Hour), s.kind == preview && s.authorize
		}
		ok := s.kind == deposit || s.kind == withdraw || r.who != r.payee
		if ok {
			p.requests[s.number] = r
		}
		return r, ok
	}
	if s.amount <= opening/2 && (s.kind == capture || s.kind == reverse) { // larger amounts stand for all of it
		r.amount = s.amount
	}
	if r.target != uuid.Nil {
		p.requests[s.number] = r
	}
	return r, r.target != uuid.Nil
}

func (p *player) call(ctx context.Context, l *ledger.Ledger, c *call) {
	order := ledger.TransferRequest{
		Owner: p.users[c.who], Key: c.key, Payee: p.users[c.payee],
		Amount: money.Amount{Minor: c.amount, Currency: c.currency}, Limit: p.limitOf(c.request),
	}
	follow := ledger.FollowUp{Owner: p.users[c.who], Key: c.key, Target: c.target, Amount: c.amount, Limit: p.limitOf(c.request)}
	authorization := order
	authorization.ExpiresAt = c.expiresAt
	var err error
	c.inv = p.clock.Add(1)
	switch c.kind {
	case transfer:
		c.result, err = l.Transfer(ctx, order)
	case authorize:
		c.result, err = l.Authorize(ctx, authorization)
	case withdraw:
		c.result, err = l.OpenWithdrawal(ctx, order)
	case deposit:
		c.result, err = l.OpenDeposit(ctx, order)
	case capture:
		c.result, err = l.Capture(ctx, follow)
	case void:
		c.result, err = l.Void(ctx, follow)
	case reverse:
		c.result, err = l.Reverse(ctx, follow)
	case settle:
		c.result, err = l.Settle(ctx, ledger.Settlement{Transfer: c.target, Fence: c.fence, Executed: c.executed})
	case preview:
		var seen ledger.Preview
		seen, err = l.Preview(ctx, authorization, c.authorize)
		c.after = seen.Wallet
	case expire:
		c.expired, err = l.ExpireDue(ctx, 100)
	}
	c.ret = p.clock.Add(1)
	c.fail(err)
}

// grouped returns how many of the first calls can be sent with TransferMany.
func grouped(calls []*call) int {
	for n, c := range calls {
		if c.kind != transfer && c.kind != authorize {
			return n
		}
	}
	return len(calls)
}

// callGroup sends calls with TransferMany. Each has the outcome that it would have alone.
func (p *player) callGroup(ctx context.Context, l *ledger.Ledger, calls []*call) {
	requests := make([]ledger.GroupRequest, len(calls))
	for i, c := range calls {
		requests[i] = ledger.GroupRequest{Authorize: c.kind == authorize, TransferRequest: ledger.TransferRequest{
			Owner: p.users[c.who], Key: c.key, Payee: p.users[c.payee], ExpiresAt: c.expiresAt,
			Amount: money.Amount{Minor: c.amount, Currency: c.currency}, Limit: p.limitOf(c.request),
		}}
	}
	before := p.clock.Add(1)
	results := l.TransferMany(ctx, requests, false)
	after := p.clock.Add(1)
	for i, c := range calls {
		c.inv, c.ret, c.result = before, after, results[i].Result
		c.fail(results[i].Err)
	}
}

// fail records the error of a call, if there is one.
func (c *call) fail(err error) {
	if err == nil {
		return
	}
	if c.err = refusalOf(err); c.err == nil {
		c.err = &refusal{Error: problem.New(ledger.Internal, err.Error())}
	}
}
