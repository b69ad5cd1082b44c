package settle

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

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

// noRedis is an address at which no Redis listens.
var noRedis = asynq.RedisClientOpt{Network: "unix", Addr: "/nonexistent/kizo-redis.sock"}

// harness is a ledger on a database of its own and a mock bank on a port of its own. The test can
// stop the bank and start it again.
type harness struct {
	*ledger.Ledger
	t    *testing.T
	db   *pgtest.Database
	pool *pgxpool.Pool

	bank        *sim.Server
	client      *bank.Client // its long timeout keeps a busy machine from looking like a fault
	shortClient *bank.Client // with a short timeout, for faults
	journal     string
	web         *http.Server
	address     string
	interceptor atomic.Pointer[interceptor] // receives the requests to the bank
	calls       calls
}

// interceptor answers a request in place of the bank, or passes it on to bank.
type interceptor func(w http.ResponseWriter, r *http.Request, bank http.Handler)

// calls counts the requests that arrive at the bank.
type calls struct {
	submits, statuses, now, max atomic.Int64
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, db: pgtest.New(t)}
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

func (h *harness) openBank() {
	h.t.Helper()
	h.journal = filepath.Join(h.t.TempDir(), "bank.jsonl")
	var err error
	h.bank, err = sim.New(sim.Config{Journal: h.journal, Seed: 7, Open: true})
	h.must(err)
	h.address = "127.0.0.1:0"
	h.startBank()
	h.client = h.bankClient(20 * time.Second)
	h.shortClient = h.bankClient(300 * time.Millisecond)
	h.t.Cleanup(func() {
		h.stopBank()
		if err := h.bank.Close(); err != nil {
			h.t.Error(err)
		}
	})
}

func (h *harness) bankClient(timeout time.Duration) *bank.Client {
	h.t.Helper()
	c, err := bank.NewClient(bank.ClientConfig{URL: "http://" + h.address, Timeout: timeout})
	h.must(err)
	h.t.Cleanup(c.Close)
	return c
}

// startBank listens at the same address as before.
func (h *harness) startBank() {
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

// stopBank closes all connections and refuses new ones.
func (h *harness) stopBank() { _ = h.web.Close() }

func (h *harness) serveBank(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		h.calls.submits.Add(1)
	} else {
		h.calls.statuses.Add(1)
	}
	now := h.calls.now.Add(1)
	defer h.calls.now.Add(-1)
	for highest := h.calls.max.Load(); now > highest && !h.calls.max.CompareAndSwap(highest, now); highest = h.calls.max.Load() {
	}
	if f := h.interceptor.Load(); f != nil {
		(*f)(w, r, h.bank.Handler())
		return
	}
	h.bank.Handler().ServeHTTP(w, r)
}

// intercept installs f between Kizo and the bank.
func (h *harness) intercept(f interceptor) { h.interceptor.Store(&f) }

func (h *harness) setFaults(f sim.Faults) {
	h.t.Helper()
	h.must(h.bank.SetFaults(f))
}

func (h *harness) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// settler has short delays unless change sets others. Its lease is long enough for a busy machine.
func (h *harness) settler(change func(*Config)) *Settler {
	config := Config{
		Pool: h.pool, Ledger: h.Ledger, Bank: h.client,
		Lease: 3 * time.Second, Grace: 50 * time.Millisecond, Interval: 25 * time.Millisecond,
		FirstDelay: 10 * time.Millisecond, MaxDelay: 50 * time.Millisecond, DrainTimeout: 5 * time.Second,
		ReconcileInterval: time.Hour, CallbackSecret: callbackSecret,
	}
	if change != nil {
		change(&config)
	}
	return New(config)
}

func (h *harness) withShortTimeout(c *Config) { c.Bank = h.shortClient }

// janitor runs until stop, or until the test ends.
func (h *harness) janitor(s *Settler) (stop func()) {
	j := NewJanitor(s)
	return h.run(j.Run)
}

// worker runs with its own dispatcher, which is returned.
func (h *harness) worker(s *Settler, redis asynq.RedisConnOpt) (d *Dispatcher, stop func()) {
	d, stopDispatcher := h.dispatcher(redis)
	stopWorker := h.run(NewWorker(s, d, redis).Run)
	return d, func() {
		stopWorker()
		stopDispatcher()
	}
}

func (h *harness) dispatcher(redis asynq.RedisConnOpt) (d *Dispatcher, stop func()) {
	d = NewDispatcher(redis, slog.New(slog.DiscardHandler), NewMetrics())
	return d, h.run(d.Run)
}

// run starts a service. stop returns when the service has ended; it may be called twice.
func (h *harness) run(service func(context.Context) error) (stop func()) {
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

// user opens a wallet and settles a deposit into it without the bank.
func (h *harness) user(funds int64) ledger.UserID {
	h.t.Helper()
	id := ledger.UserID(uuid.Must(uuid.NewV7()))
	_, err := h.OpenWallet(h.t.Context(), id, "USD")
	h.must(err)
	if funds > 0 {
		t := h.deposit(id, funds)
		_, err := h.Settle(h.t.Context(), ledger.Settlement{Transfer: t, Executed: true})
		h.must(err)
	}
	return id
}

func (h *harness) deposit(owner ledger.UserID, minor int64) uuid.UUID {
	h.t.Helper()
	r, err := h.OpenDeposit(h.t.Context(), ledger.TransferRequest{Owner: owner, Key: uuid.NewString(), Amount: usd(minor)})
	h.must(err)
	return r.Transfer.ID
}

func (h *harness) withdraw(owner ledger.UserID, minor int64) uuid.UUID {
	h.t.Helper()
	r, err := h.OpenWithdrawal(h.t.Context(), ledger.TransferRequest{Owner: owner, Key: uuid.NewString(), Amount: usd(minor)})
	h.must(err)
	return r.Transfer.ID
}

func (h *harness) transfer(owner ledger.UserID, id uuid.UUID) ledger.Transfer {
	h.t.Helper()
	t, err := h.Find(h.t.Context(), owner, id)
	h.must(err)
	return t
}

// waitForEnd waits until a transfer is no longer pending.
func (h *harness) waitForEnd(owner ledger.UserID, id uuid.UUID) ledger.Transfer {
	h.t.Helper()
	var t ledger.Transfer
	testkit.Eventually(h.t, "the transfer ends", func() bool {
		t = h.transfer(owner, id)
		return t.State != ledger.Pending
	})
	return t
}

func (h *harness) wantWallet(owner ledger.UserID, balance, held int64) {
	h.t.Helper()
	w, err := h.Wallet(h.t.Context(), owner, "USD")
	h.must(err)
	if w.Balance != balance || w.Held != held {
		h.t.Errorf("the wallet has %d, %d of it held; want %d, %d", w.Balance, w.Held, balance, held)
	}
}

// row is a row of the table payments.
type row struct {
	state     ledger.PaymentState
	attempts  int
	fence     int64
	leased    bool
	due       bool // now or earlier
	lastError string
}

func (h *harness) payment(id uuid.UUID) row {
	h.t.Helper()
	const read = `SELECT state, attempts, fence, lease_until IS NOT NULL,
		COALESCE(next_at <= clock_timestamp(), false), last_error FROM payments WHERE transfer_id = $1`
	var r row
	h.must(h.pool.QueryRow(h.t.Context(), read, id).Scan(&r.state, &r.attempts, &r.fence, &r.leased, &r.due, &r.lastError))
	return r
}

// waitForState waits until a payment has a state.
func (h *harness) waitForState(id uuid.UUID, state ledger.PaymentState) row {
	h.t.Helper()
	var r row
	testkit.Eventually(h.t, "the payment is "+string(state), func() bool {
		r = h.payment(id)
		return r.state == state
	})
	return r
}

// endLease ends the lease of a claim, as if its time had passed.
func (h *harness) endLease(id uuid.UUID) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `UPDATE payments SET lease_until = clock_timestamp(), next_at = clock_timestamp()
		WHERE transfer_id = $1`, id)
	h.must(err)
}

// executions counts the outcomes of a transfer in the journal of the bank.
func (h *harness) executions(id uuid.UUID) (executed, rejected int) {
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

func (h *harness) wantOneExecution(ids ...uuid.UUID) {
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

func (h *harness) claim(s *Settler, id uuid.UUID) claim {
	h.t.Helper()
	c, ok, err := s.claimOne(h.t.Context(), id)
	if err != nil || !ok {
		h.t.Fatalf("claimed: %v, %v", ok, err)
	}
	return c
}

// wantAudit fails the test if the audit of the ledger finds a broken invariant.
func (h *harness) wantAudit() {
	h.t.Helper()
	report, err := ledger.Audit(h.t.Context(), h.pool)
	h.must(err)
	if broken, is := report.FirstBroken(); is {
		h.t.Errorf("the audit does not pass: %+v", broken)
	}
}

// wantKinds checks which discrepancies of a payment are recorded.
func (h *harness) wantKinds(s *Settler, id uuid.UUID, want ...string) {
	h.t.Helper()
	found, err := s.discrepanciesOf(h.t.Context(), id.String())
	h.must(err)
	var kinds []string
	for _, d := range found {
		kinds = append(kinds, d.Kind)
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		h.t.Errorf("discrepancies of %s: %v, want %v", id, kinds, want)
	}
}

// logKinds returns the kinds of all entries in the log of a payment.
func (h *harness) logKinds(s *Settler, id uuid.UUID) string {
	h.t.Helper()
	entries, err := s.Log(h.t.Context(), id)
	h.must(err)
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, e.Kind)
	}
	return strings.Join(kinds, " ")
}

// detach returns a copy of a request that stays usable when its sender has gone.
func detach(r *http.Request) *http.Request {
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	kept := r.Clone(noCancel{r.Context()})
	kept.Body = readCloser{&body}
	return kept
}

type noCancel struct{ context.Context }

func (noCancel) Done() <-chan struct{} { return nil }

func (noCancel) Err() error { return nil }

type readCloser struct{ *bytes.Buffer }

func (readCloser) Close() error { return nil }

func inspect(t *testing.T, opt asynq.RedisConnOpt) *asynq.Inspector {
	t.Helper()
	i := asynq.NewInspector(opt)
	t.Cleanup(func() { _ = i.Close() })
	return i
}

// queued returns the number of tasks in the queue, or -1 if Redis does not know the queue.
func queued(i *asynq.Inspector) int {
	info, err := i.GetQueueInfo(Queue)
	if err != nil {
		return -1
	}
	return info.Size
}

func flushAll(t *testing.T, server *embedded.Redis) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: server.Network(), Addr: server.Addr()})
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// asynqOptOf lets an inspector use the dispatcher's Redis.
func asynqOptOf(d *Dispatcher) asynq.RedisConnOpt {
	o := d.redis.(*redis.Client).Options()
	return asynq.RedisClientOpt{Network: o.Network, Addr: o.Addr}
}

// count reads a counter or a gauge.
func count(t *testing.T, counter prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(counter)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("gathered %v, %v", families, err)
	}
	metric := families[0].GetMetric()[0]
	return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
}
