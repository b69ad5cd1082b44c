package api_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// TestLockedWallet: while another database session keeps a wallet locked, its owner's transfer
// fails with 503 and Retry-After and changes nothing; a retry with the same key then makes it once.
// Other users can pay, and the owner can read.
func TestLockedWallet(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(100)
	carol := h.signUp("carol")
	conn, err := pgx.Connect(t.Context(), h.db.AdminURL)
	testkit.Must(t, err)
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	testkit.Must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM accounts a JOIN users u ON u.id = a.owner WHERE u.handle = 'alice' FOR UPDATE OF a`)
	testkit.Must(t, err)

	request := alice.asks("/v1/transfers", pay(bob, 10))
	for range 2 { // the first detects the lock, the second is rejected because of it
		got := h.do(request)
		p := got.wantProblem(openapi.Unavailable)
		testkit.Equal(t, "Retry-After", got.header.Get("Retry-After"), "1")
		testkit.Equal(t, "it says that an account is locked", strings.Contains(p.Detail, "locked"), true)
	}
	h.post(bob, "/v1/transfers", pay(carol, 10)).wantProblem(openapi.InsufficientFunds) // decided without waiting for the lock
	h.wantBalance(alice, 100, 0)

	testkit.Must(t, tx.Rollback(t.Context()))
	testkit.Eventually(t, "the wallet is free", func() bool { return h.ledger.Locks().Rows == 0 })
	got := h.do(request).want(201)
	testkit.Equal(t, "replayed", got.replayed(), false)
	h.wantBalance(alice, 90, 0)
	h.wantBalance(bob, 10, 0)
}
