package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/JDevAman/kizo/loadtest/rig"
	"github.com/JDevAman/kizo/openapi"
)

// workload is the load of the clients. All users pay the first user, whose account is therefore
// hot. The last two have no money at first, so some of their operations are refused.
type workload struct {
	client  *client
	history *history
	users   []*user
	options options

	plain            bool         // clients repeat a request once if its connection broke, and do nothing else
	fresh            *http.Client // opens a connection for each request
	repeated, failed atomic.Int64
}

// run makes the load until ctx ends, and returns when every request has its answer. The clients
// are a closed loop, and start at most rate operations per second together.
func (w *workload) run(ctx context.Context) {
	limiter := rate.NewLimiter(rate.Limit(w.options.rate), max(w.options.rate/4, 1))
	var acting sync.WaitGroup
	for i := range w.options.clients {
		dice := rand.New(rand.NewPCG(w.options.seed, uint64(i))) //nolint:gosec // a seed repeats it
		acting.Go(func() {
			for limiter.Wait(ctx) == nil {
				w.act(ctx, dice)
			}
		})
	}
	acting.Wait()
}

// act does one thing at random. It does not stop when ctx ends, so that every request gets its
// answer.
func (w *workload) act(ctx context.Context, dice *rand.Rand) {
	ctx = context.WithoutCancel(ctx)
	if w.plain {
		if o := w.newOperation(dice); o != nil {
			w.history.add(o)
			w.plainly(ctx, o)
		}
		return
	}
	switch roll := dice.IntN(100); {
	case roll < 6 && !w.options.noReads:
		w.look(ctx, dice)
	case roll < 12:
		w.again(ctx, dice)
	case roll < 14:
		w.otherBody(ctx, dice)
	case roll < 18:
		w.batch(ctx, dice)
	default:
		if o := w.newOperation(dice); o != nil {
			w.history.add(o)
			w.pursue(ctx, dice, o)
		}
	}
}

// pursue sends an operation as different clients do: some give up at the first error, some retry
// with the same key, some send it twice at the same time.
func (w *workload) pursue(ctx context.Context, dice *rand.Rand, o *operation) {
	if dice.IntN(50) == 0 {
		var twin sync.WaitGroup
		twin.Go(func() { w.client.send(ctx, w.history, o) })
		w.client.send(ctx, w.history, o)
		twin.Wait()
		return
	}
	for tries := 1 + 3*dice.IntN(2); tries > 0; tries-- {
		a := w.client.send(ctx, w.history, o)
		if a.definite() {
			return
		}
		if a.Status == 0 || a.Status == http.StatusServiceUnavailable {
			rig.Pause(ctx, time.Duration(20+dice.IntN(200))*time.Millisecond)
		}
	}
}

// batch sends several transfers of one user in one request, and again until every outcome is known
// or it gives up.
func (w *workload) batch(ctx context.Context, dice *rand.Rand) {
	from, atomic := w.users[dice.IntN(len(w.users))], dice.IntN(2) == 0
	batch := make([]*operation, 2+dice.IntN(5))
	for i := range batch {
		batch[i] = w.pay(dice, []kind{transfer, transfer, authorize}[dice.IntN(3)], from, w.other(dice, from))
	}
	for _, o := range batch {
		if atomic {
			o.atomic = batch
		}
		w.history.add(o)
	}
	for tries := 1 + 3*dice.IntN(2); tries > 0; tries-- {
		attempts := w.client.sendBatch(ctx, w.history, batch, atomic)
		if !slices.ContainsFunc(attempts, func(a attempt) bool { return !a.definite() }) {
			return
		}
		rig.Pause(ctx, time.Duration(20+dice.IntN(200))*time.Millisecond)
	}
}

// newOperation returns a random new operation, or nil if there is no transfer to refer to yet.
func (w *workload) newOperation(dice *rand.Rand) *operation {
	from := w.users[dice.IntN(len(w.users))]
	if w.options.bankHeavy && dice.IntN(2) == 0 {
		return bankTransfer([]kind{deposit, withdrawal}[dice.IntN(2)], from, 1+dice.Int64N(500))
	}
	switch roll := dice.IntN(100); {
	case roll < 45:
		return w.pay(dice, transfer, from, w.other(dice, from))
	case roll < 62:
		if from == w.users[0] { // otherwise this user would get all the money
			return w.pay(dice, transfer, from, w.other(dice, from))
		}
		return w.pay(dice, transfer, from, w.users[0])
	case roll < 67:
		return bankTransfer(deposit, from, 1+dice.Int64N(2000))
	case roll < 73:
		return bankTransfer(withdrawal, from, 1+dice.Int64N(1500))
	case roll < 84:
		return w.pay(dice, authorize, from, w.other(dice, from))
	case roll < 91:
		return w.follow(dice, capture)
	case roll < 95:
		return w.follow(dice, void)
	default:
		return w.follow(dice, reversal)
	}
}

func (w *workload) other(dice *rand.Rand, than *user) *user {
	for {
		if u := w.users[dice.IntN(len(w.users))]; u != than {
			return u
		}
	}
}

func (w *workload) pay(dice *rand.Rand, k kind, from, to *user) *operation {
	amount := 1 + dice.Int64N(500)
	if dice.IntN(25) == 0 {
		amount = 1_000_000_000 // more than any user has
	}
	fields := map[string]any{"to": "@" + to.handle, "amount": amount, "currency": currency}
	if k == authorize {
		fields["authorize"] = true
	}
	return &operation{kind: k, user: from, payee: to, amount: amount, key: newKey(), path: "/v1/transfers", fields: fields}
}

func bankTransfer(k kind, who *user, amount int64) *operation {
	fields := map[string]any{"amount": amount, "currency": currency}
	return &operation{kind: k, user: who, amount: amount, key: newKey(), path: "/v1/" + string(k) + "s", fields: fields}
}

// follow captures or voids an accepted authorization, or reverses an accepted transfer. Other
// clients often choose the same one.
func (w *workload) follow(dice *rand.Rand, k kind) *operation {
	of := authorize
	if k == reversal {
		of = transfer
	}
	target := w.history.pick(of, dice.IntN)
	if target == nil {
		return nil
	}
	verb := map[kind]string{capture: "capture", void: "void", reversal: "reverse"}[k]
	path := fmt.Sprintf("/v1/transfers/%s/%s", target.conclusion().Transfer, verb)
	o := &operation{kind: k, user: target.payee, target: target, key: newKey(), path: path}
	if k == void {
		return o
	}
	o.fields = map[string]any{}
	if dice.IntN(2) == 0 {
		o.amount = 1 + dice.Int64N(target.amount+target.amount/10+1) // sometimes more than the target has
		o.fields["amount"] = o.amount
	}
	return o
}

// again repeats an earlier operation, whatever its outcome.
func (w *workload) again(ctx context.Context, dice *rand.Rand) {
	if o := w.history.pick("", dice.IntN); o != nil {
		w.client.send(ctx, w.history, o)
	}
}

// otherBody sends another command under a key whose outcome is known. The API must reject it, and
// nothing may change.
func (w *workload) otherBody(ctx context.Context, dice *rand.Rand) {
	o := w.history.pick("", dice.IntN)
	if o == nil || !o.conclusion().definite() || o.kind == void {
		return
	}
	other := &operation{kind: o.kind, user: o.user, payee: o.payee, target: o.target, amount: o.amount + 1, key: o.key, path: o.path}
	other.fields = maps.Clone(o.fields)
	other.fields["amount"] = other.amount
	if a := w.client.send(ctx, w.history, other); a.definite() {
		w.client.found.add("replay", "a key was used for another command, which was carried out or refused as if it were new\nfirst %s\nthen %s", o, other)
	}
}

// look reads a wallet.
func (w *workload) look(ctx context.Context, dice *rand.Rand) {
	u := w.users[dice.IntN(len(w.users))]
	r := reading{user: u, began: w.history.now()}
	got, _, err := w.client.do(ctx, call{method: http.MethodGet, path: "/v1/wallets", token: u.token()})
	if r.ended = w.history.now(); err != nil {
		return
	}
	if got.status != http.StatusOK {
		_, _ = w.client.problem(got, func() string { return "GET /v1/wallets" })
		return
	}
	var page openapi.WalletList
	if json.Unmarshal(got.body, &page) != nil || len(page.Items) != 1 {
		w.client.found.add("http", "the answer is not a list of one wallet: %s", got.body)
		return
	}
	r.balance, r.held, r.available = page.Items[0].Balance, page.Items[0].Held, page.Items[0].Available
	w.history.read(r)
}

func newKey() string { return uuid.NewString() }

// encode returns the JSON of a body, and nothing for nil.
func encode(body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	if string(text) == "null" {
		return nil
	}
	return text
}
