package settle

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/migrations"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/embedded"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
	"github.com/JDevAman/kizo/server/ledger"
)

func TestMain(m *testing.M) { pgtest.Main(m, migrations.Apply) }

var callbackSecret = []byte("a secret that the bank and Kizo share")

// noRedis is where nothing ever listened.
var noRedis = asynq.RedisClientOpt{Network: "unix", Addr: "/nonexistent/kizo-redis.sock"}

// house is a ledger on a database of its own and a mock bank on a port of its own,
// which can be taken away and come back.
type house struct {
	*ledger.Ledger
	t    *testing.T
	db   *pgtest.Database
	pool *pgxpool.Pool

	bank    *sim.Server
	client  *bank.Client // patient, so that a busy machine looks like no fault
	hasty   *bank.Client // for faults
	journal string
	web     *http.Server
	address string
	front   atomic.Pointer[front] // stands between Kizo and the bank
	calls   calls
}

// front answers in the bank's place, or lets it.
type front func(w http.ResponseWriter, r *http.Request, bank http.Handler)

// calls counts what arrives at the bank.
type calls struct {
	submits, statuses, now, most atomic.Int64
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, db: pgtest.New(t)}
	config, err := pgxpool.ParseConfig(h.db.AppURL)
	h.must(err)
	config.MaxConns = 12
	h.pool, err = pgxpool.NewWithConfig(t.Context(), config)
	h.must(err)
	h.Ledger = ledger.Open(ledger.Config{Pool: h.pool})
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
		h.pool.Close()
	})
	h.openBank()
	return h
}

func (h *house) openBank() {
	h.t.Helper()
	h.journal = filepath.Join(h.t.TempDir(), "bank.jsonl")
	var err error
	h.bank, err = sim.New(sim.Config{Journal: h.journal, Seed: 7, Open: true})
	h.must(err)
	h.address = "127.0.0.1:0"
	h.bankComes()
	h.client = h.bankClient(20 * time.Second)
	h.hasty = h.bankClient(300 * time.Millisecond)
	h.t.Cleanup(func() {
		h.bankGoes()
		if err := h.bank.Close(); err != nil {
			h.t.Error(err)
		}
	})
}

func (h *house) bankClient(timeout time.Duration) *bank.Client {
	h.t.Helper()
	c, err := bank.NewClient(bank.ClientConfig{URL: "http://" + h.address, Timeout: timeout})
	h.must(err)
	h.t.Cleanup(c.Close)
	return c
}

// bankComes listens where the bank did before.
func (h *house) bankComes() {
	h.t.Helper()
	var listener net.Listener
	testkit.Eventually(h.t, "the bank's port is free", func() (ok bool) {
		var err error
		listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", h.address)
		return err == nil
	})
	h.address = listener.Addr().String()
	h.web = &http.Server{Handler: http.HandlerFunc(h.serveBank), ReadHeaderTimeout: time.Second}
	web := h.web
	go func() { _ = web.Serve(listener) }()
}

// bankGoes refuses connections and cuts those that there are.
func (h *house) bankGoes() { _ = h.web.Close() }

func (h *house) serveBank(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		h.calls.submits.Add(1)
	} else {
		h.calls.statuses.Add(1)
	}
	now := h.calls.now.Add(1)
	defer h.calls.now.Add(-1)
	for most := h.calls.most.Load(); now > most && !h.calls.most.CompareAndSwap(most, now); most = h.calls.most.Load() {
	}
	if f := h.front.Load(); f != nil {
		(*f)(w, r, h.bank.Handler())
		return
	}
	h.bank.Handler().ServeHTTP(w, r)
}

func (h *house) inFront(f front) { h.front.Store(&f) }

func (h *house) weather(f sim.Faults) {
	h.t.Helper()
	h.must(h.bank.SetFaults(f))
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// settler is quick unless change says otherwise; but a busy machine must not make
// it lose a lease.
func (h *house) settler(change func(*Config)) *Settler {
	config := Config{
		Pool: h.pool, Ledger: h.Ledger, Bank: h.client,
		Lease: 3 * time.Second, Grace: 50 * time.Millisecond, Every: 25 * time.Millisecond,
		FirstDelay: 10 * time.Millisecond, MaxDelay: 50 * time.Millisecond, Drain: 5 * time.Second,
		ReconcileEvery: time.Hour, CallbackSecret: callbackSecret,
	}
	if change != nil {
		change(&config)
	}
	return New(config)
}

func (h *house) giveUpSoon(c *Config) { c.Bank = h.hasty }

// janitor runs until stop, or until the test ends.
func (h *house) janitor(s *Settler) (stop func()) {
	j := NewJanitor(s)
	return h.run(j.Run)
}

// worker runs with its own dispatcher, which is returned.
func (h *house) worker(s *Settler, redis asynq.RedisConnOpt) (d *Dispatcher, stop func()) {
	d, stopDispatcher := h.dispatcher(redis)
	stopWorker := h.run(NewWorker(s, d, redis).Run)
	return d, func() {
		stopWorker()
		stopDispatcher()
	}
}

func (h *house) dispatcher(redis asynq.RedisConnOpt) (d *Dispatcher, stop func()) {
	d = NewDispatcher(redis, slog.New(slog.DiscardHandler), NewMetrics())
	return d, h.run(d.Run)
}

// run starts a service; stop may be called again, and returns when it has ended.
func (h *house) run(service func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := service(ctx); err != nil {
			h.t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	h.t.Cleanup(stop)
	return stop
}

func usd(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "USD"} }

// user has a wallet with money in it, which came past the bank.
func (h *house) user(funds int64) uuid.UUID {
	h.t.Helper()
	id := uuid.Must(uuid.NewV7())
	_, err := h.OpenWallet(h.t.Context(), id, "USD")
	h.must(err)
	if funds > 0 {
		t := h.deposit(id, funds)
		_, err := h.Settle(h.t.Context(), ledger.Settlement{Transfer: t, Executed: true})
		h.must(err)
	}
	return id
}

func (h *house) deposit(owner uuid.UUID, minor int64) uuid.UUID {
	h.t.Helper()
	r, err := h.OpenDeposit(h.t.Context(), ledger.TransferRequest{Owner: owner, Key: uuid.NewString(), Amount: usd(minor)})
	h.must(err)
	return r.Transfer.ID
}

func (h *house) withdraw(owner uuid.UUID, minor int64) uuid.UUID {
	h.t.Helper()
	r, err := h.OpenWithdrawal(h.t.Context(), ledger.TransferRequest{Owner: owner, Key: uuid.NewString(), Amount: usd(minor)})
	h.must(err)
	return r.Transfer.ID
}

func (h *house) transfer(owner, id uuid.UUID) ledger.Transfer {
	h.t.Helper()
	t, err := h.Find(h.t.Context(), owner, id)
	h.must(err)
	return t
}

// ends waits for a transfer's end.
func (h *house) ends(owner, id uuid.UUID) ledger.Transfer {
	h.t.Helper()
	var t ledger.Transfer
	testkit.Eventually(h.t, "the transfer ends", func() bool {
		t = h.transfer(owner, id)
		return t.State != ledger.Pending
	})
	return t
}

func (h *house) wantWallet(owner uuid.UUID, balance, held int64) {
	h.t.Helper()
	w, err := h.Wallet(h.t.Context(), owner, "USD")
	h.must(err)
	if w.Balance != balance || w.Held != held {
		h.t.Errorf("the wallet has %d, %d of it held; want %d, %d", w.Balance, w.Held, balance, held)
	}
}

// row of a payment.
type row struct {
	state     ledger.PaymentState
	attempts  int
	fence     int64
	leased    bool
	due       bool // now or earlier
	lastError string
}

func (h *house) payment(id uuid.UUID) row {
	h.t.Helper()
	const read = `SELECT state, attempts, fence, lease_until IS NOT NULL,
		COALESCE(next_at <= clock_timestamp(), false), last_error FROM payments WHERE transfer_id = $1`
	var r row
	h.must(h.pool.QueryRow(h.t.Context(), read, id).Scan(&r.state, &r.attempts, &r.fence, &r.leased, &r.due, &r.lastError))
	return r
}

// becomes waits for a payment's state.
func (h *house) becomes(id uuid.UUID, state ledger.PaymentState) row {
	h.t.Helper()
	var r row
	testkit.Eventually(h.t, "the payment is "+string(state), func() bool {
		r = h.payment(id)
		return r.state == state
	})
	return r
}

// expireLease is what time does to a claim whose holder died.
func (h *house) expireLease(id uuid.UUID) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `UPDATE payments SET lease_until = clock_timestamp(), next_at = clock_timestamp()
		WHERE transfer_id = $1`, id)
	h.must(err)
}

// executions are what the bank's own journal says of a transfer: the judge.
func (h *house) executions(id uuid.UUID) (executed, rejected int) {
	h.t.Helper()
	entries, err := sim.ReadJournal(h.journal)
	h.must(err)
	for _, e := range entries {
		switch {
		case e.Ref != id.String():
		case e.Status == sim.StatusExecuted:
			executed++
		default:
			rejected++
		}
	}
	return executed, rejected
}

func (h *house) wantOneExecution(ids ...uuid.UUID) {
	h.t.Helper()
	for _, id := range ids {
		if executed, rejected := h.executions(id); executed != 1 || rejected != 0 {
			h.t.Errorf("the bank executed %s %d times and rejected it %d times", id, executed, rejected)
		}
	}
}

func redisOpt(r *embedded.Redis) asynq.RedisClientOpt {
	return asynq.RedisClientOpt{Network: r.Network(), Addr: r.Addr()}
}
