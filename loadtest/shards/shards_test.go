package shards

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

const (
	usersOfShard = 4
	funds        = 1000
	rounds       = 4
	callers      = 8
	perCaller    = 12 // transfers in a round
)

var errCrash = errors.New("the process has crashed")

// crashing is a ledger whose process dies, with some probability, right before or right after a
// step: the caller learns nothing of it.
type crashing struct{ Ledger }

func crash(step func() (ledger.Result, error)) (ledger.Result, error) {
	const probability = 0.1
	if rand.Float64() < probability {
		return ledger.Result{}, errCrash
	}
	result, err := step()
	if rand.Float64() < probability {
		return ledger.Result{}, errCrash
	}
	return result, err
}

func (c crashing) Transfer(ctx context.Context, r ledger.TransferRequest) (ledger.Result, error) {
	return crash(func() (ledger.Result, error) { return c.Ledger.Transfer(ctx, r) })
}

func (c crashing) OpenWithdrawal(ctx context.Context, r ledger.TransferRequest) (ledger.Result, error) {
	return crash(func() (ledger.Result, error) { return c.Ledger.OpenWithdrawal(ctx, r) })
}

func (c crashing) OpenDeposit(ctx context.Context, r ledger.TransferRequest) (ledger.Result, error) {
	return crash(func() (ledger.Result, error) { return c.Ledger.OpenDeposit(ctx, r) })
}

func (c crashing) Settle(ctx context.Context, s ledger.Settlement) (ledger.Result, error) {
	return crash(func() (ledger.Result, error) { return c.Ledger.Settle(ctx, s) })
}

// world is two PostgreSQL servers and what their books must contain.
type world struct {
	t       *testing.T
	servers [2]*pgtest.Server
	users   []ledger.UserID // the first half lives on the first shard
	balance map[ledger.UserID]int64
	sent    []*intent
}

// intent is a transfer that a caller wants, under its key.
type intent struct {
	ledger.TransferRequest
	between bool // shards
	known   bool // the outcome is known
	posted  bool
}

// TestShards makes random transfers within and between two shards. Processes crash between the
// steps, and each server once in the middle of the load. Then every transfer is retried with its
// key. The balances are those of a model in which each transfer takes effect once or not at all.
func TestShards(t *testing.T) {
	if testing.Short() {
		t.Skip("runs two PostgreSQL servers and crashes them")
	}
	w := &world{t: t, balance: make(map[ledger.UserID]int64)}
	for i := range w.servers {
		w.servers[i] = pgtest.NewServer(t, 0)
		w.do(w.servers[i].EnsureDatabase(t.Context(), "kizo"))
		w.do(migrations.Apply(t.Context(), w.servers[i].URL("kizo", embedded.OwnerRole)))
	}
	for n := range 2 * usersOfShard {
		id := uuid.New()
		id[0] = byte(n / usersOfShard << 7) // below or above the bound
		w.users = append(w.users, ledger.UserID(id))
	}
	const short = 200 * time.Millisecond // commands give up while a server starts again
	w.with(0, func(r *Router) {
		for _, user := range w.users {
			w.fund(r.Of(user).Ledger, user)
		}
	})
	for round := range rounds {
		w.with(short, func(r *Router) { w.load(r, round) })
		w.with(0, w.recover)
		w.with(0, w.check)
	}
	between, paid, posted := 0, 0, 0
	for _, i := range w.sent {
		if i.between {
			between++
		}
		if i.posted {
			posted++
		}
		if i.between && i.posted {
			paid++
		}
	}
	t.Logf("%d transfers, of which %d posted; %d between shards, of which %d posted", len(w.sent), posted, between, paid)
	if between < len(w.sent)/4 || paid < between/4 || posted < len(w.sent)/4 || posted == len(w.sent) {
		t.Error("the load is one-sided")
	}
}

func (w *world) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// with runs use with the ledgers of a new process, whose batches have so much time; the usual time
// if 0.
func (w *world) with(batchTimeout time.Duration, use func(*Router)) {
	w.t.Helper()
	r := &Router{}
	for i, server := range w.servers {
		pool, err := pgxpool.New(w.t.Context(), server.URL("kizo", embedded.AppRole))
		w.do(err)
		defer pool.Close()
		books := ledger.Open(ledger.Config{Pool: pool, BatchTimeout: batchTimeout})
		defer func() { _ = books.Close(context.WithoutCancel(w.t.Context())) }()
		r.Shards = append(r.Shards, Shard{From: ledger.UserID{0: byte(i << 7)}, Ledger: books, Pool: pool})
	}
	use(r)
}

func (w *world) fund(l Ledger, user ledger.UserID) {
	_, err := l.(*ledger.Ledger).OpenWallet(w.t.Context(), user, "USD")
	w.do(err)
	opened, err := l.OpenDeposit(w.t.Context(), ledger.TransferRequest{Owner: user, Key: "fund", Amount: money.Amount{Minor: funds, Currency: "USD"}})
	w.do(err)
	_, err = l.Settle(w.t.Context(), ledger.Settlement{Transfer: opened.Transfer.ID, Executed: true})
	w.do(err)
	w.balance[user] = funds
}

// load makes random transfers through a router whose process crashes, and crashes a server in
// the second and the fourth round. Some are sent twice at once.
func (w *world) load(r *Router, round int) {
	faulty := &Router{Shards: slices.Clone(r.Shards)}
	for i := range faulty.Shards {
		faulty.Shards[i].Ledger = crashing{faulty.Shards[i].Ledger}
	}
	halfway := make(chan struct{})
	var working sync.WaitGroup
	for caller := range callers {
		var mine []*intent
		for range perCaller {
			mine = append(mine, w.newIntent(faulty))
		}
		w.sent = append(w.sent, mine...)
		working.Go(func() {
			for n, i := range mine {
				if caller == 0 && n == perCaller/2 {
					close(halfway)
				}
				var both sync.WaitGroup
				for range 1 + n%2 {
					both.Go(func() { _, _ = faulty.Transfer(w.t.Context(), i.TransferRequest) })
				}
				both.Wait()
			}
		})
	}
	<-halfway
	if round%2 == 1 {
		victim := round / 2 % 2
		w.do(w.servers[victim].Kill())
		w.servers[victim] = pgtest.StartServer(w.t, w.servers[victim].Dir, w.servers[victim].Port)
	}
	working.Wait()
}

func (w *world) newIntent(r *Router) *intent {
	from := rand.IntN(len(w.users))
	to := (from + 1 + rand.IntN(len(w.users)-1)) % len(w.users)
	return &intent{
		TransferRequest: ledger.TransferRequest{
			Owner: w.users[from], Payee: w.users[to], Key: uuid.NewString(),
			Amount: money.Amount{Minor: 1 + rand.Int64N(funds/2), Currency: "USD"},
		},
		between: r.Of(w.users[from]) != r.Of(w.users[to]),
	}
}

// recover resumes what is open, as two workers at once, and then retries every transfer. What was
// known before must not change.
func (w *world) recover(r *Router) {
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			if err := r.Resume(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		})
	}
	workers.Wait()
	for _, i := range w.sent {
		result, err := r.Transfer(w.t.Context(), i.TransferRequest)
		if _, refused := errors.AsType[*ledger.Refusal](err); err != nil && !refused {
			w.t.Fatal(err)
		}
		posted := err == nil && result.Transfer.State == ledger.Posted
		if i.known && posted != i.posted {
			w.t.Fatalf("the outcome of %s has changed: posted %t, then %t", i.Key, i.posted, posted)
		}
		if posted && !i.known {
			w.balance[i.Owner] -= i.Amount.Minor
			w.balance[i.Payee] += i.Amount.Minor
		}
		i.known, i.posted = true, posted
	}
}

// check compares the books with the model.
func (w *world) check(r *Router) {
	inFlight, err := r.Audit(w.t.Context())
	if err != nil || inFlight != 0 {
		w.t.Fatalf("in flight %d: %v", inFlight, err)
	}
	sum := int64(0)
	for n, user := range w.users {
		wallet, err := r.Of(user).Ledger.Wallet(w.t.Context(), user, "USD")
		w.do(err)
		sum += wallet.Balance
		if wallet.Balance != w.balance[user] || wallet.Held != 0 || wallet.Balance < 0 {
			w.t.Errorf("user %d: balance %d, held %d, want %d", n, wallet.Balance, wallet.Held, w.balance[user])
		}
	}
	if sum != int64(len(w.users))*funds {
		w.t.Errorf("the wallets hold %d, want %d", sum, len(w.users)*funds)
	}
	clearing := int64(0)
	for _, s := range r.Shards {
		var balance int64
		w.do(s.Pool.QueryRow(w.t.Context(), `SELECT balance FROM accounts WHERE kind = 'clearing'`).Scan(&balance))
		clearing += balance
	}
	if clearing != -int64(len(w.users))*funds {
		w.t.Errorf("the clearing accounts hold %d: more or less than came from the bank", clearing)
	}
	if w.t.Failed() {
		w.t.Fatal(fmt.Sprint("after ", len(w.sent), " transfers"))
	}
}

// full is a shard on which a payee's wallet has become full after the deposit was opened. Another
// process has ended the deposit meanwhile, if ended is not empty.
type full struct {
	Ledger
	ended ledger.State
	state ledger.State
}

func (f *full) OpenDeposit(context.Context, ledger.TransferRequest) (ledger.Result, error) {
	return ledger.Result{Transfer: ledger.Transfer{State: ledger.Pending}}, nil
}

func (f *full) Settle(_ context.Context, s ledger.Settlement) (ledger.Result, error) {
	if s.Executed {
		return ledger.Result{}, problem.New(ledger.BalanceLimit, "full")
	}
	if f.ended != "" {
		return ledger.Result{}, problem.New(ledger.SettlementConflicts, "ended")
	}
	f.state = ledger.Voided
	return ledger.Result{Transfer: ledger.Transfer{State: f.state}}, nil
}

func (f *full) Get(context.Context, uuid.UUID) (ledger.Transfer, error) {
	return ledger.Transfer{State: f.ended}, nil
}

// A deposit that does not fit is voided, unless another process has posted it.
func TestDepositThatDoesNotFit(t *testing.T) {
	for ended, want := range map[ledger.State]bool{"": false, ledger.Voided: false, ledger.Posted: true} {
		far := &full{ended: ended}
		paid, _, err := deposit(t.Context(), far, ledger.UserID{}, ledger.Transfer{})
		if err != nil || paid != want || ended == "" && far.state != ledger.Voided {
			t.Errorf("ended %q: paid %t, state %q, %v", ended, paid, far.state, err)
		}
	}
}
