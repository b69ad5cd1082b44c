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

// payers are goroutines that transfer between users, one transfer after the other, until end.
type payers struct {
	running sync.WaitGroup
	stop    atomic.Bool
	mu      sync.Mutex
	made    int
	slowest time.Duration
	codes   map[problem.Code]int
}

// startPayers starts payers in this many goroutines. Each user pays the next one.
func (h *fixture) startPayers(l *ledger.Ledger, users []ledger.UserID, atOnce int) *payers {
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

// TestLockedAccountDelaysNoOtherTransfer: a session keeps one wallet locked while its owner sends
// transfers. Transfers between other users never wait for longer than 2 s, and only one batch waits
// for the lock. The owner gets Unavailable, since nothing was done, and can transfer again when the
// wallet is free.
func TestLockedAccountDelaysNoOtherTransfer(t *testing.T) {
	t.Parallel()
	for name, queued := range map[string]bool{"row": false, "row with a queue": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			log := &logBuffer{}
			l := h.another(ledger.Config{Logger: slog.New(slog.NewTextHandler(log, nil)), LockTimeout: time.Second})
			owner, users := h.user(100), make([]ledger.UserID, 6)
			for i := range users {
				users[i] = h.user(10_000)
			}
			pid, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, owner)
			defer release()
			if queued {
				h.waitInOtherSession(owner)
			}
			others := h.startPayers(l, users, 4)
			owners := h.startPayers(l, []ledger.UserID{owner, users[0]}, 3)
			testkit.Eventually(t, "the lock is found", func() bool { return len(l.Locks().Reported) == 1 })
			before := others.progress()
			testkit.Eventually(t, "transfers of the owner are rejected", func() bool {
				owners.mu.Lock()
				defer owners.mu.Unlock()
				return owners.codes[ledger.Unavailable] >= 4
			})
			testkit.Eventually(t, "other users transfer meanwhile", func() bool { return others.progress() > before+50 })
			locks := l.Locks()
			owners.end()
			others.end()
			if others.slowest > 2*time.Second || len(others.codes) > 0 {
				t.Errorf("transfers between other users: %d, slowest %v, rejected %v", others.made, others.slowest, others.codes)
			}
			if owners.made > 0 || len(owners.codes) != 1 {
				t.Errorf("of the locked wallet: %d transfers, rejected %v", owners.made, owners.codes)
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
			rejected := ledger.TransferRequest{Owner: owner, Key: newKey(), Payee: users[0], Amount: usd(1)}
			_, err := l.Transfer(t.Context(), rejected)
			wantCode(t, err, ledger.Unavailable)
			release()
			testkit.Eventually(t, "the wallet is free", func() bool { return l.Locks().Rows == 0 })
			if r, err := l.Transfer(t.Context(), rejected); err != nil || r.Replayed {
				t.Errorf("under the same key: %+v, %v", r, err)
			}
			h.books()
		})
	}
}

// waitInOtherSession makes another session wait for a wallet that is locked.
func (h *fixture) waitInOtherSession(owner ledger.UserID) {
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

// TestShortLockRejectsNoCommand: a lock that is held for longer than Config.LockTimeout, and
// released soon after, causes no rejection.
func TestShortLockRejectsNoCommand(t *testing.T) {
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

// TestLockedTransferDelaysNoOtherCommand: a locked row of a transfer or of a payment delays only
// the commands on that transfer.
func TestLockedTransferDelaysNoOtherCommand(t *testing.T) {
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

// TestStalledBatchDelaysNoOtherCommand: while a batch stalls, for any reason, even a single command
// that touches none of its accounts is committed.
func TestStalledBatchDelaysNoOtherCommand(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{LockTimeout: 20 * time.Second, BatchTimeout: 30 * time.Second})
	alice, bob, carol, dave := h.user(100), h.user(0), h.user(100), h.user(0)
	super := testkit.Connect(t, h.db.SuperuserURL)
	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, alice)
	stalled := make(chan error, 1)
	go func() {
		_, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)})
		stalled <- err
	}()
	h.untilWaiting(super, 1)
	if _, err := l.Transfer(t.Context(), ledger.TransferRequest{Owner: carol, Key: newKey(), Payee: dave, Amount: usd(1)}); err != nil {
		t.Error(err)
	}
	select {
	case err := <-stalled:
		t.Fatalf("the first batch did not stall: %v", err)
	default:
	}
	release()
	if err := <-stalled; err != nil {
		t.Error(err)
	}
	h.books()
}

// TestLockedAccountDelaysNoOtherExpiry: authorizations of a locked account do not keep ExpireDue
// from voiding those of other accounts.
func TestLockedAccountDelaysNoOtherExpiry(t *testing.T) {
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
		t.Errorf("while the account is locked, %d expired, %v", n, err)
	}
	release()
	testkit.Eventually(t, "the account is free", func() bool { return l.Locks().Rows == 0 })
	if n, err := l.ExpireDue(t.Context(), 2); n != 2 || err != nil {
		t.Errorf("later %d expired, %v", n, err)
	}
}

// TestLostCommitHoldsLocks: the COMMIT of the first attempt takes longer than Config.LockTimeout,
// so that the retry finds its own accounts locked. The caller gets the outcome of that COMMIT, or
// OutcomeUnknown if it takes longer than Config.BatchTimeout.
func TestLostCommitHoldsLocks(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.user(1000), h.user(0)
	l, proxy := h.throughProxy(ledger.Config{LockTimeout: 50 * time.Millisecond, BatchTimeout: 15 * time.Second})
	ledger.LockFirst(l)
	for _, d := range commandCases {
		ask := d.make(h, alice, bob)
		proxy.arm(cutLate)
		go func() {
			testkit.Eventually(t, "the retry has found the locks", func() bool { return l.Locks().Rows > 0 })
			proxy.sendDelayed()
		}()
		r, err := ask(l)
		first, replayed := outcomeOf(t, r, err)
		if first.State != d.state || replayed || proxy.faultCount() != 1 {
			t.Errorf("%s: got %s, replayed %t", d.name, first.State, replayed)
		}
		r, err = ask(h.Ledger)
		if again, replayed := outcomeOf(t, r, err); again.ID != first.ID || again.State != first.State || !replayed {
			t.Errorf("%s: asked again, got %+v, replayed %t", d.name, again, replayed)
		}
		testkit.Eventually(t, "the rows are free", func() bool { return l.Locks().Rows == 0 })
	}
	short, proxy := h.throughProxy(ledger.Config{LockTimeout: 50 * time.Millisecond, BatchTimeout: time.Second})
	o := ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}
	proxy.arm(cutLate)
	_, err := short.Transfer(t.Context(), o)
	wantCode(t, err, ledger.OutcomeUnknown)
	proxy.sendDelayed()
	if r, err := h.Ledger.Transfer(t.Context(), o); err != nil || !r.Replayed {
		t.Errorf("asked again, got %+v, %v", r, err)
	}
	h.books()
}

// TestCloseRejectsLockWaiters: Close rejects the commands that wait for a locked row.
func TestCloseRejectsLockWaiters(t *testing.T) {
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

// TestLockWaitersAreBounded: commands on a locked row beyond the maximum are rejected at once.
func TestLockWaitersAreBounded(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	l := h.another(ledger.Config{LockTimeout: 50 * time.Millisecond})
	alice, bob := h.user(100), h.user(0)
	_, release := h.lockRows(`SELECT FROM accounts WHERE owner = $1 FOR UPDATE`, alice)
	defer release()
	var outcomes tally
	together(700, func(int) {
		outcomes.add(l.Transfer(t.Context(), ledger.TransferRequest{Owner: alice, Key: newKey(), Payee: bob, Amount: usd(1)}))
	})
	if outcomes.codes[ledger.Unavailable] != 700 {
		t.Errorf("got %+v", outcomes.codes)
	}
	release()
	testkit.Eventually(t, "the account is free", func() bool { return l.Locks().Rows == 0 })
	h.books()
}
