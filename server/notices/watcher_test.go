package notices_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/notices"
)

// bank is a ledger with a watcher.
type bank struct {
	*harness
	ledger  *ledger.Ledger
	watcher *notices.Watcher
	keys    int
}

var quiet = slog.New(slog.DiscardHandler)

func newBank(t testing.TB) *bank {
	t.Helper()
	h := newHarness(t)
	l := ledger.Open(ledger.Config{Pool: h.pool, Logger: quiet})
	t.Cleanup(func() { testkit.Must(t, l.Close(context.Background())) })
	return &bank{harness: h, ledger: l, watcher: notices.NewWatcher(h.pool, l, quiet)}
}

// customer is a user with 100,000.00 USD and some JPY.
func (b *bank) customer(handle string) auth.User {
	b.t.Helper()
	u := b.signUp(handle)
	for _, c := range []money.Currency{"USD", "JPY"} {
		_, err := b.ledger.OpenWallet(b.t.Context(), u.ID, c)
		testkit.Must(b.t, err)
		r, err := b.ledger.OpenDeposit(b.t.Context(), b.request(u, auth.User{}, 10_000_000, c))
		testkit.Must(b.t, err)
		_, err = b.ledger.Settle(b.t.Context(), ledger.Settlement{Transfer: r.Transfer.ID, Executed: true})
		testkit.Must(b.t, err)
	}
	return u
}

func (b *bank) request(from, to auth.User, minor int64, c money.Currency) ledger.TransferRequest {
	b.keys++
	return ledger.TransferRequest{Owner: from.ID, Payee: to.ID, Amount: money.Amount{Minor: minor, Currency: c}, Key: fmt.Sprint("k", b.keys)}
}

func (b *bank) pay(from, to auth.User, minor int64) uuid.UUID {
	b.t.Helper()
	r, err := b.ledger.Transfer(b.t.Context(), b.request(from, to, minor, "USD"))
	testkit.Must(b.t, err)
	return r.Transfer.ID
}

// visible waits until no event is above the horizon, where a transaction that runs elsewhere keeps
// it for a moment.
func (b *bank) visible() {
	b.t.Helper()
	testkit.Eventually(b.t, "all events are visible", func() bool {
		var hidden int
		testkit.Must(b.t, b.pool.QueryRow(b.t.Context(), `SELECT count(*) FROM all_events
			WHERE xid >= event_number(pg_snapshot_xmin(pg_current_snapshot()))`).Scan(&hidden))
		return hidden == 0
	})
}

// watch processes all events.
func (b *bank) watch(w *notices.Watcher) {
	b.t.Helper()
	b.visible()
	for more := true; more; {
		var err error
		more, err = w.RunOnce(b.t.Context())
		testkit.Must(b.t, err)
	}
}

// titles returns what the inbox of a user says, oldest first.
func (b *bank) titles(user auth.User) string {
	b.t.Helper()
	var titles []string
	for _, n := range b.list(user, notices.Query{Limit: 1000}).Notices {
		titles = append([]string{n.Title()}, titles...)
	}
	return strings.Join(titles, "; ")
}

// TestPaymentsMakeNotices: the first payment to a payee and payments above the threshold make
// notices for the payer, whatever kind of payment they are; nothing before the first look does.
func TestPaymentsMakeNotices(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	ctx := t.Context()
	alice, bob, carol := b.customer("alice"), b.customer("bob"), b.customer("carol")
	b.pay(alice, carol, 200_000)
	b.watch(b.watcher)
	testkit.Equal(t, "before the first look", b.titles(alice), "")
	_, err := b.admin.Exec(ctx, `UPDATE notice_cursor SET began_at = clock_timestamp() + interval '1 minute'`) // the watcher begins a minute earlier
	testkit.Must(t, err)

	b.pay(alice, bob, 1)
	b.pay(alice, bob, 2)
	b.pay(alice, carol, 100_000)
	large := b.pay(alice, carol, 100_001)
	b.pay(bob, alice, 5)
	held, err := b.ledger.Authorize(ctx, b.request(carol, bob, 100, "USD"))
	testkit.Must(t, err)
	_, err = b.ledger.Capture(ctx, ledger.FollowUp{Owner: bob.ID, Key: "capture", Target: held.Transfer.ID})
	testkit.Must(t, err)
	_, err = b.ledger.OpenWithdrawal(ctx, b.request(bob, auth.User{}, 150_000, "USD"))
	testkit.Must(t, err)
	if _, err = b.ledger.Transfer(ctx, b.request(carol, alice, 99_000_000, "USD")); !errors.Is(err, ledger.InsufficientFunds) {
		t.Fatalf("a payment of what carol does not have: %v", err)
	}
	b.watch(b.watcher)
	b.watch(b.watcher)
	testkit.Equal(t, "alice", b.titles(alice), "First payment to @bob: 0.01 USD; Large payment to @carol: 1000.01 USD")
	testkit.Equal(t, "bob", b.titles(bob), "First payment to @alice: 0.05 USD; Large payment to the bank: 1500.00 USD")
	testkit.Equal(t, "carol", b.titles(carol), "First payment to @bob: 1.00 USD")
	newest := b.list(alice, notices.Query{Limit: 1}).Notices[0]
	testkit.Equal(t, "transfer", newest.Payment.Transfer, large)
	testkit.Contains(t, newest.Advice(), "kizo freeze-me")

	// The own threshold takes the place of the default, in its currency.
	_, err = b.admin.Exec(ctx, `INSERT INTO second_factors (user_id, secret, pepper_id, created_at) VALUES ($1, decode(repeat('00', 48), 'hex'), 'p1', now())`, carol.ID)
	if err == nil {
		_, err = b.admin.Exec(ctx, `INSERT INTO step_up_thresholds VALUES ($1, 'USD', 50)`, carol.ID)
	}
	testkit.Must(t, err)
	b.pay(carol, bob, 50)
	b.pay(carol, bob, 51)
	_, err = b.ledger.Transfer(ctx, b.request(carol, bob, 100_001, "JPY"))
	testkit.Must(t, err)
	b.watch(b.watcher)
	testkit.Equal(t, "carol's own threshold", b.titles(carol), "First payment to @bob: 1.00 USD; Large payment to @bob: 0.51 USD; Large payment to @bob: 100001 JPY")
}

// TestPaymentNoticesAreBounded: a payout to many new payees makes 20 notices in a day, and keeps
// all notices about the account.
func TestPaymentNoticesAreBounded(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	alice := b.customer("alice")
	b.watch(b.watcher)
	b.record(alice, "key_created", 3)
	for i := range 25 {
		payee := b.signUp(fmt.Sprintf("payee%d", i))
		_, err := b.ledger.OpenWallet(t.Context(), payee.ID, "USD")
		testkit.Must(t, err)
		b.pay(alice, payee, 1)
		if i%10 == 0 {
			b.watch(b.watcher)
		}
	}
	b.watch(b.watcher)
	page := b.list(alice, notices.Query{Limit: 100})
	testkit.Equal(t, "notices", len(page.Notices), 23)
	testkit.Equal(t, "the last one", page.Notices[0].Title(), "First payment to @payee19: 0.01 USD")
	var known int
	testkit.Must(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM known_payees`).Scan(&known))
	testkit.Equal(t, "known payees", known, 25)
}

const childEnv = "KIZO_TEST_WATCHER"

// runChild is a watcher in a process of its own, until it is killed. It writes a line after each
// page.
func runChild() {
	pool, err := pgxpool.New(context.Background(), os.Getenv(childEnv))
	if err != nil {
		panic(err)
	}
	w := notices.NewWatcher(pool, ledger.Open(ledger.Config{Pool: pool, Logger: quiet}), quiet)
	for {
		if _, err := w.RunOnce(context.Background()); err != nil {
			panic(err)
		}
		fmt.Println("page")
	}
}

// TestWatchersProcessEachPaymentOnce: while users pay, two watchers compete in this process, and
// others are killed (SIGKILL) in processes of their own. Each first payment has one notice.
func TestWatchersProcessEachPaymentOnce(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	const payers, payees = 6, 15
	var from, to []auth.User
	for i := range payers {
		from = append(from, b.customer(fmt.Sprintf("payer%d", i)))
	}
	for i := range payees {
		u := b.signUp(fmt.Sprintf("payee%d", i))
		_, err := b.ledger.OpenWallet(t.Context(), u.ID, "USD")
		testkit.Must(t, err)
		to = append(to, u)
	}
	b.watch(b.watcher) // begins
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for range 2 {
		w := notices.NewWatcher(b.pool, b.ledger, quiet)
		running.Go(func() {
			for ctx.Err() == nil {
				if _, err := w.RunOnce(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("a watcher: %v", err)
				}
			}
		})
	}
	for _, payee := range to {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+b.db.AppURL)
		pages, err := child.StdoutPipe()
		testkit.Must(t, err)
		testkit.Must(t, child.Start())
		_, err = io.ReadFull(pages, make([]byte, len("page\n")))
		testkit.Must(t, err)
		for i, payer := range from {
			if i == payers/2 {
				testkit.Must(t, child.Process.Signal(syscall.SIGKILL))
			}
			b.pay(payer, payee, 1)
			b.pay(payer, payee, 2)
		}
		_ = child.Wait()
	}
	stop()
	running.Wait()
	b.watch(b.watcher)
	for _, payer := range from {
		seen := map[string]bool{}
		page := b.list(payer, notices.Query{Limit: 1000})
		for _, n := range page.Notices {
			testkit.Equal(t, "kind", n.Kind, notices.FirstPayment)
			testkit.Equal(t, "amount", n.Payment.Amount, int64(1))
			seen[n.Payment.Payee] = true
		}
		testkit.Equal(t, "notices of "+payer.Handle, fmt.Sprint(len(page.Notices), len(seen)), fmt.Sprint(payees, payees))
	}
}
