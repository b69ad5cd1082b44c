package ledger_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// logBuffer keeps log lines for a test.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) lines(with string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if strings.Contains(line, with) {
			found = append(found, line)
		}
	}
	return found
}

// lockRows runs a statement that locks rows in a transaction of another session, and
// keeps it open until release is called.
func (h *fixture) lockRows(sql string, args ...any) (pid uint32, release func()) {
	h.t.Helper()
	conn := testkit.Connect(h.t, h.db.SuperuserURL)
	tx, err := conn.Begin(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := tx.Exec(h.t.Context(), sql, args...); err != nil {
		h.t.Fatal(err)
	}
	return conn.PgConn().PID(), sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
}

// payers pay round in a circle, each one payment after the other, until they are stopped.
type payers struct {
	running sync.WaitGroup
	stop    atomic.Bool
	mu      sync.Mutex
	made    int
	slowest time.Duration
	codes   map[problem.Code]int
}

func (h *fixture) payRound(l *ledger.Ledger, users []uuid.UUID, atOnce int) *payers {
	p := &payers{codes: map[problem.Code]int{}}
	for i := range atOnce {
		p.running.Go(func() {
			for j := i; !p.stop.Load(); j++ {
				o := ledger.TransferRequest{Owner: users[j%len(users)], Key: newKey(), Payee: users[(j+1)%len(users)], Amount: usd(1)}
				started := time.Now()
				_, err := l.Transfer(h.t.Context(), o)
				p.add(time.Since(started), err)
			}
		})
	}
	return p
}

func (p *payers) add(took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slowest = max(p.slowest, took)
	if code := problem.CodeOf(err); code != "" {
		p.codes[code]++
	} else {
		p.made++
	}
}

func (p *payers) progress() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

func (p *payers) end() {
	p.stop.Store(true)
	p.running.Wait()
}

// TestLockedAccountStopsNoOtherPayment: a session keeps one wallet locked while its owner
// goes on paying. Payments between others never wait for longer than 2 s, and one batch
// alone waits for the lock; the owner gets Unavailable, since nothing was done, and pays again when
// the wallet is free.
func TestLockedAccountStopsNoOtherPayment(t *testing.T) {
	t.Parallel()
	for name, queued := range map[string]bool{"row": false, "row with a queue": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			log := &logBuffer{}
			l := h.another(ledger.Config{Logger: slog.New(slog.NewTextHandler(log, nil)), LockTimeout: time.Second})
			owner, users := h.user(100), make([]uuid.UUID, 6)
			for i := range users {
				users[i] = h.user(10_000)
			}
			pid, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, owner)
			defer release()
			if queued {
				h.queueFor(owner)
			}
			others := h.payRound(l, users, 4)
			owners := h.payRound(l, []uuid.UUID{owner, users[0]}, 3)
			testkit.Eventually(t, "the lock is found", func() bool { return len(l.Locks().Reported) == 1 })
			before := others.progress()
			testkit.Eventually(t, "the owner is refused", func() bool {
				owners.mu.Lock()
				defer owners.mu.Unlock()
				return owners.codes[ledger.Unavailable] >= 4
			})
			testkit.Eventually(t, "others pay meanwhile", func() bool { return others.progress() > before+50 })
			locks := l.Locks()
			owners.end()
			others.end()
			if others.slowest > 2*time.Second || len(others.codes) > 0 {
				t.Errorf("payments between others: %d, slowest %v, refused %v", others.made, others.slowest, others.codes)
			}
			if owners.made > 0 || len(owners.codes) != 1 {
				t.Errorf("of the locked wallet: %d payments, refused %v", owners.made, owners.codes)
			}
			if locks.Timeouts > 2 || locks.Rows != 1 || !containsPID(locks.Reported[0].Blockers, pid) {
				t.Errorf("got %+v, blocked by %d", locks, pid)
			}
			if lines := log.lines("row is locked"); len(lines) != 1 || !strings.Contains(lines[0], "account=") || !strings.Contains(lines[0], "blocking_pids=") {
				t.Errorf("logged %q", lines)
			}
			if got := h.wallet(owner); got.Balance != 100 {
				t.Errorf("the owner has %d", got.Balance)
			}
			refused := ledger.TransferRequest{Owner: owner, Key: newKey(), Payee: users[0], Amount: usd(1)}
			_, err := l.Transfer(t.Context(), refused)
			wantCode(t, err, ledger.Unavailable)
			release()
			testkit.Eventually(t, "the wallet is free", func() bool { return l.Locks().Rows == 0 })
			if r, err := l.Transfer(t.Context(), refused); err != nil || r.Replayed {
				t.Errorf("under the same key: %+v, %v", r, err)
			}
			h.books()
		})
	}
}

// queueFor has another session wait for a wallet that is locked.
func (h *fixture) queueFor(owner uuid.UUID) {
	h.t.Helper()
	super := testkit.Connect(h.t, h.db.SuperuserURL)
	conn, err := pgx.Connect(h.t.Context(), h.db.AdminURL)
	if err != nil {
		h.t.Fatal(err)
	}
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		_, _ = conn.Exec(context.Background(), `UPDATE accounts SET status = status WHERE owner = $1`, owner)
	}()
	h.t.Cleanup(func() {
		<-waited
		conn.Close(context.Background())
	})
	h.untilWaiting(super, 1)
}

func containsPID(pids []int32, pid uint32) bool {
	for _, p := range pids {
		if uint32(p) == pid {
			return true
		}
	}
	return false
}

// TestShortLockIsWaitedFor: a lock that lasts longer than a batch waits, and ends soon after,
// refuses no command.
func TestShortLockIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{LockTimeout: 50 * time.Millisecond})
	alice, bob := h.user(100), h.user(0)
	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, alice)
	answer := make(chan error, 1)
	go func() {
		_, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(10)})
		answer <- err
	}()
	testkit.Eventually(t, "the lock is found", func() bool { return l.Locks().Rows == 1 })
	release()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	h.books()
}

// TestLockedTransferStopsNoOtherCommand: the same of the row of a transfer and of a payment.
func TestLockedTransferStopsNoOtherCommand(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"transfer": `SELECT FROM transfers WHERE id = $1 FOR UPDATE`,
		"payment":  `SELECT FROM payments WHERE transfer_id = $1 FOR UPDATE`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			l := h.another(ledger.Config{Committers: 1, LockTimeout: time.Second})
			alice, bob := h.user(100), h.user(100)
			id := h.withdraw(alice, 10).ID
			_, release := h.lockRows(sql, id)
			defer release()
			settled := make(chan error, 1)
			go func() {
				_, err := l.Settle(t.Context(), ledger.Settlement{Transfer: id, Executed: true})
				settled <- err
			}()
			testkit.Eventually(t, "the lock is found", func() bool { return l.Locks().Rows == 1 })
			started := time.Now()
			if _, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: bob, Key: newKey(), Payee: alice, Amount: usd(1)}); err != nil || time.Since(started) > 2*time.Second {
				t.Errorf("after %v: %v", time.Since(started), err)
			}
			wantCode(t, <-settled, ledger.Unavailable)
			release()
			testkit.Eventually(t, "the row is free", func() bool { return l.Locks().Rows == 0 })
			if _, err := l.Settle(t.Context(), ledger.Settlement{Transfer: id, Executed: true}); err != nil {
				t.Error(err)
			}
			h.books()
		})
	}
}

// TestStalledBatchStopsNoOtherCommand: a batch that hangs, for whatever cause, lets even a
// single command that touches none of its accounts go beside it.
func TestStalledBatchStopsNoOtherCommand(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{LockTimeout: 20 * time.Second, BatchTimeout: 30 * time.Second})
	alice, bob, carol, dave := h.user(100), h.user(0), h.user(100), h.user(0)
	super := testkit.Connect(t, h.db.SuperuserURL)
	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, alice)
	hangs := make(chan error, 1)
	go func() {
		_, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)})
		hangs <- err
	}()
	h.untilWaiting(super, 1)
	if _, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: carol, Key: newKey(), Payee: dave, Amount: usd(1)}); err != nil {
		t.Error(err)
	}
	select {
	case err := <-hangs:
		t.Fatalf("the batch beside was to hang, got %v", err)
	default:
	}
	release()
	if err := <-hangs; err != nil {
		t.Error(err)
	}
	h.books()
}

// TestLockedAccountStopsNoOtherExpiry: the authorizations of a locked account keep no others
// from their end.
func TestLockedAccountStopsNoOtherExpiry(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{LockTimeout: 100 * time.Millisecond})
	alice, bob, carol := h.user(100), h.user(0), h.user(100)
	for range 2 {
		h.lapse(h.authorize(alice, bob, 10).ID)
	}
	h.lapse(h.authorize(carol, bob, 10).ID)
	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, alice)
	defer release()
	if n, err := l.ExpireDue(t.Context(), 2); n != 0 || err == nil {
		t.Errorf("%d expired, %v", n, err)
	}
	if n, err := l.ExpireDue(t.Context(), 2); n != 1 || err != nil {
		t.Errorf("beside the locked account %d expired, %v", n, err)
	}
	release()
	testkit.Eventually(t, "the account is free", func() bool { return l.Locks().Rows == 0 })
	if n, err := l.ExpireDue(t.Context(), 2); n != 2 || err != nil {
		t.Errorf("later %d expired, %v", n, err)
	}
}

// TestLostCommitBehindALock: the first try's COMMIT is under way for longer than a batch waits
// for a lock, so that the retry finds its own accounts locked. Its caller gets the outcome of
// the COMMIT; or OutcomeUnknown, should it stay open for too long.
func TestLostCommitBehindALock(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(1000), h.user(0)
	l, w := h.through(ledger.Config{LockTimeout: 50 * time.Millisecond, BatchTimeout: 15 * time.Second})
	for _, d := range commandCases {
		ask := d.make(h, alice, bob)
		w.arm(cutLate)
		go func() {
			testkit.Eventually(t, "the retry has found the locks", func() bool { return l.Locks().Rows > 0 })
			w.letGo()
		}()
		r, err := ask(l)
		first, replayed := told(t, r, err)
		if first.State != d.state || replayed || w.cut() != 1 {
			t.Errorf("%s: got %s, replayed %t", d.name, first.State, replayed)
		}
		r, err = ask(h.Ledger)
		if again, replayed := told(t, r, err); again.ID != first.ID || again.State != first.State || !replayed {
			t.Errorf("%s: asked again, got %+v, replayed %t", d.name, again, replayed)
		}
		testkit.Eventually(t, "the rows are free", func() bool { return l.Locks().Rows == 0 })
	}
	impatient, w := h.through(ledger.Config{LockTimeout: 50 * time.Millisecond, BatchTimeout: time.Second})
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}
	w.arm(cutLate)
	_, err := impatient.Transfer(t.Context(), o)
	wantCode(t, err, ledger.OutcomeUnknown)
	w.letGo()
	if r, err := h.Ledger.Transfer(t.Context(), o); err != nil || !r.Replayed {
		t.Errorf("asked again, got %+v, %v", r, err)
	}
	h.books()
}

// TestCloseBesideALock: a ledger that is closed answers the commands that wait for a locked row.
func TestCloseBesideALock(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{LockTimeout: 50 * time.Millisecond})
	alice, bob := h.user(100), h.user(0)
	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, alice)
	defer release()
	answer := make(chan error, 1)
	go func() {
		_, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)})
		answer <- err
	}()
	testkit.Eventually(t, "the lock is found", func() bool { return l.Locks().Rows == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
	wantCode(t, <-answer, ledger.Unavailable)
}

// TestParkedCommandsAreBounded: what there is no place for is refused at once.
func TestParkedCommandsAreBounded(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{LockTimeout: 50 * time.Millisecond})
	alice, bob := h.user(100), h.user(0)
	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, alice)
	defer release()
	var came tally
	together(700, func(int) {
		came.add(l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}))
	})
	if came.codes[ledger.Unavailable] != 700 {
		t.Errorf("got %+v", came.codes)
	}
	release()
	testkit.Eventually(t, "the account is free", func() bool { return l.Locks().Rows == 0 })
	h.books()
}
