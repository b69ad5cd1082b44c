package ledger_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/ledger"
	"github.com/JDevAman/kizo/server/problem"
)

// auditor returns an Auditor that signs with the key of this id.
func (h *fixture) auditor(ids ...string) *ledger.Auditor {
	a := &ledger.Auditor{Pool: h.pool, Keys: func() (keys []ledger.AuditKey) {
		for _, id := range ids {
			keys = append(keys, ledger.AuditKey{ID: id, Key: bytes.Repeat([]byte(id[:1]), 32)})
		}
		return keys
	}}
	ledger.SetAuditOverlap(a, time.Microsecond)
	return a
}

// fullAudit makes a full audit, which must be signed. Its horizon is above all events.
func (h *fixture) fullAudit() ledger.Report {
	h.t.Helper()
	h.everythingSoFar()
	report, err := h.auditor("a").Full(h.t.Context())
	if err != nil || !report.OK() || !report.Signed || report.Mode != ledger.FullAudit {
		h.t.Fatalf("%v, %v\n%s", report, err, table(report))
	}
	return report
}

func (h *fixture) incrementalAudit() ledger.Report {
	h.t.Helper()
	report, err := h.auditor("a").Incremental(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	if report.Signed != report.OK() {
		h.t.Fatalf("signed: %v\n%s", report.Signed, table(report))
	}
	return report
}

// TestIncrementalAuditFindsDamage: what a full audit finds, an incremental one finds in new rows.
func TestIncrementalAuditFindsDamage(t *testing.T) {
	t.Parallel()
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t)
			h.busy()
			h.fullAudit()
			b := h.busy()
			b.damage(damage.sql)
			breaks := damage.breaks
			if damage.signed {
				breaks = append(slices.Clip(breaks), "signed_balances")
			}
			b.checkReport(b.incrementalAudit(), breaks, damage.row)
		})
	}
}

// TestIncrementalAuditContinues: what happens after an audit to transfers from before it is no
// damage, and an incremental audit checks few rows.
func TestIncrementalAuditContinues(t *testing.T) {
	t.Parallel()
	b := newBusyFixture(t)
	ctx := t.Context()
	second := b.must(b.Authorize(ctx, b.to(b.bob, b.alice, 20)))
	soon := b.to(b.bob, b.alice, 10)
	soon.ExpiresAt = time.Now().Add(100 * time.Millisecond)
	b.must(b.Authorize(ctx, soon))
	withdrawal := b.must(b.OpenWithdrawal(ctx, ledger.TransferRequest{Owner: b.bob, Key: newKey(), Amount: usd(9)}))
	full := b.fullAudit()

	b.must(b.Capture(ctx, ledger.FollowUp{Owner: b.bob, Key: newKey(), Target: b.open, Amount: 30}))
	b.must(b.Void(ctx, ledger.FollowUp{Owner: b.bob, Key: newKey(), Target: second}))
	testkit.Eventually(t, "the authorization expires", func() bool {
		n, err := b.ExpireDue(ctx, 10)
		return err == nil && n == 1
	})
	b.must(b.Settle(ctx, ledger.Settlement{Transfer: b.waiting, Executed: true}))
	b.must(b.Settle(ctx, ledger.Settlement{Transfer: withdrawal}))
	b.must(b.Reverse(ctx, ledger.FollowUp{Owner: b.bob, Key: newKey(), Target: b.one, Amount: 2}))
	b.must(b.Reverse(ctx, ledger.FollowUp{Owner: b.dave, Key: newKey(), Target: b.taken, Amount: 2}))
	if _, err := b.Reverse(ctx, ledger.FollowUp{Owner: b.bob, Key: newKey(), Target: b.captured, Amount: 2}); err != nil {
		t.Fatal(err)
	}
	b.pay(b.alice, b.user(5), 1)
	first := b.incrementalAudit()
	if !first.OK() || first.Mode != ledger.IncrementalAudit || !first.Since.Equal(full.At) || !first.FullAt.Equal(full.At) {
		t.Fatalf("%+v\n%s", first, table(first))
	}
	again := b.incrementalAudit()
	if !again.OK() || !again.Since.Equal(first.At) || !again.FullAt.Equal(full.At) {
		t.Fatalf("%+v\n%s", again, table(again))
	}
	if report := b.audit(); !report.OK() {
		t.Fatalf("a full audit disagrees:\n%s", table(report))
	}
}

// TestIncrementalAuditFindsChangeOfWhatWasSigned: an incremental audit finds a change of what was
// signed, in the accounts and in the signed audit.
func TestIncrementalAuditFindsChangeOfWhatWasSigned(t *testing.T) {
	t.Parallel()
	for _, damage := range []struct {
		name, sql string
		breaks    []string
		row       string
	}{
		{"money moved between accounts with nothing new", `UPDATE accounts SET balance = balance + CASE id WHEN @alice THEN 1 ELSE -1 END
			WHERE id IN (@alice, @bob)`, []string{"signed_balances"}, "currency USD"},
		{"money given to an account with nothing new", `UPDATE accounts SET balance = balance + 1 WHERE id = @alice`,
			[]string{"currency_sums", "signed_balances"}, "currency USD"},
		{"the number of the last posting", `UPDATE accounts SET seq = seq + 1 WHERE id = @alice`, []string{"signed_balances"}, "currency USD"},
		{"what was credited to two accounts with nothing new", `UPDATE accounts SET credited = credited + CASE id WHEN @alice THEN 1 ELSE -1 END
			WHERE id IN (@alice, @bob)`, []string{"signed_balances"}, "currency USD"},
		{"what was credited to an account with something new", `UPDATE accounts SET credited = credited + 1 WHERE id = @dave`,
			[]string{"signed_balances"}, "currency USD"},
		{"less credited than is new", `UPDATE accounts SET credited = 1 WHERE id = @dave`, []string{"credited", "signed_balances"}, "account @dave"},
		{"a new checkpoint with another sum", `INSERT INTO account_checkpoints SELECT account_id, seq, 1, posted_at FROM all_postings
			WHERE transfer_id = $new AND account_id = @dave`, []string{"credited"}, "account @dave"},
		{"an account that has lost its postings", `UPDATE accounts SET seq = 0 WHERE id = @alice`, []string{"balance", "credited", "signed_balances"}, "account @alice"},
		{"two accounts exchanged", `UPDATE accounts a SET seq = b.seq, balance = b.balance FROM accounts b
			WHERE a.id IN (@alice, @bob) AND b.id IN (@alice, @bob) AND a.id <> b.id`, []string{"signed_balances"}, "currency USD"},
		{"a hold of an account with nothing new", `UPDATE accounts SET held = held + 1 WHERE id = @alice`, []string{"held"}, "account @alice"},
		{"a first new posting with another balance", `UPDATE transfers SET credit_balance = credit_balance + 1 WHERE id = $new;
			UPDATE accounts SET balance = balance + 1 WHERE id = @dave`, []string{"currency_sums", "signed_balances"}, "currency USD"},
		{"a first new posting with another number", `UPDATE transfers SET credit_seq = credit_seq + 1 WHERE id = $new;
			UPDATE accounts SET seq = seq + 1 WHERE id = @dave`, []string{"signed_balances"}, "currency USD"},
		{"a first new posting deleted", `DELETE FROM transfers WHERE id = $new`, []string{"signed_balances"}, "currency USD"},
		{"a first new posting with an earlier time", `UPDATE transfers SET resolved_at = resolved_at - interval '1 hour',
				id = (lpad(to_hex((('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint - 3600000)), 12, '0') || substr(replace(id::text, '-', ''), 13))::uuid
			WHERE id = $new`, []string{"dates", "digests"}, "account "},
		{"a first new posting in the table with an earlier time", `UPDATE postings SET posted_at = posted_at - interval '1 hour' WHERE transfer_id = $deposit`,
			[]string{"dates"}, "account "},
		{"a key of an earlier transfer", `ALTER TABLE transfers DROP CONSTRAINT transfers_key;
			UPDATE transfers SET (owner, idem_key) = (SELECT owner, idem_key FROM transfers WHERE id = $one) WHERE id = $new`,
			[]string{"keys", "digests"}, "owner "},
		{"a signed balance", `UPDATE signed_audits SET balances[1] = balances[1] + 1`, []string{"signature"}, "audit "},
		{"a signed digest", `UPDATE signed_audits SET digests[2] = digests[2] + 1`, []string{"signature"}, "audit "},
		{"a signed number of accounts", `UPDATE signed_audits SET accounts[1] = accounts[1] + 1`, []string{"signature"}, "audit "},
		{"a signed currency", `UPDATE signed_audits SET currencies[1] = 'XXX'`, []string{"signature"}, "audit "},
		{"a signed horizon", `UPDATE signed_audits SET horizon = '9000000000000000'`, []string{"signature"}, "audit "},
		{"a signed epoch", `UPDATE signed_audits SET epoch = '1'`, []string{"signature"}, "audit "},
		{"a signed time", `UPDATE signed_audits SET at = at + interval '1 microsecond', full_at = full_at + interval '1 microsecond'`, []string{"signature"}, "audit "},
		{"the time of the last full audit", `UPDATE signed_audits SET full_at = full_at - interval '1 day', mode = 'incremental'`, []string{"signature"}, "audit "},
		{"a latest posting", `UPDATE signed_audits SET latest = latest + interval '1 day'`, []string{"signature"}, "audit "},
		{"a signature", `UPDATE signed_audits SET signature = sha256('')`, []string{"signature"}, "audit "},
		{"a forged audit", `SET ROLE kizo_app; INSERT INTO signed_audits (at, mode, full_at, epoch, horizon, latest, currencies, accounts, balances, digests, key_id, signature)
			SELECT at, mode, full_at, epoch, event_number(pg_snapshot_xmax(pg_current_snapshot())), latest, currencies, accounts, balances, digests, key_id, signature FROM signed_audits`,
			[]string{"signature"}, "audit "},
	} {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			b := newBusyFixture(t)
			b.fullAudit()
			fill := strings.NewReplacer("$new", "'"+b.pay(b.carol, b.dave, 4).String()+"'", "$deposit", "'"+b.deposit(b.eve, 40).String()+"'")
			b.damage(fill.Replace(damage.sql))
			b.checkReport(b.incrementalAudit(), damage.breaks, damage.row)
			b.checkReport(b.incrementalAudit(), damage.breaks, damage.row) // and again: it was not signed
		})
	}
}

// deposit pays in from the bank.
func (h *fixture) deposit(owner ledger.UserID, minor int64) uuid.UUID {
	h.t.Helper()
	r, err := h.OpenDeposit(h.t.Context(), ledger.TransferRequest{Owner: owner, Key: newKey(), Amount: usd(minor)})
	if err == nil {
		_, err = h.Settle(h.t.Context(), ledger.Settlement{Transfer: r.Transfer.ID, Executed: true})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Transfer.ID
}

// TestIncrementalAuditDoesNotSeeOldRows states what only a full audit finds.
func TestIncrementalAuditDoesNotSeeOldRows(t *testing.T) {
	t.Parallel()
	b := newBusyFixture(t)
	b.fullAudit()
	b.damage(`UPDATE transfers SET memo = 'something else', idem_key = 'x' WHERE id = $one;
		UPDATE postings SET balance_after = balance_after + 1 WHERE account_id = @alice AND seq = 1`)
	b.pay(b.alice, b.bob, 1)
	if report := b.incrementalAudit(); !report.OK() {
		t.Errorf("unexpected: change the documentation\n%s", table(report))
	}
	if got := broken(b.audit()); !slices.Equal(got, []string{"running_balance", "digests"}) {
		t.Errorf("a full audit finds %v", got)
	}
}

// TestIncrementalAuditNeedsSignedAudit: without an audit that can be continued, the error says that
// a full one is needed, and why.
func TestIncrementalAuditNeedsSignedAudit(t *testing.T) {
	t.Parallel()
	b := newBusyFixture(t)
	fails := func(a *ledger.Auditor, why string) {
		t.Helper()
		_, err := a.Incremental(t.Context())
		if problem.CodeOf(err) != ledger.NoSignedAudit || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "full") {
			t.Errorf("%v, want %q", err, why)
		}
	}
	fails(b.auditor("a"), "no audit has been signed")
	if report, err := b.auditor().Full(t.Context()); err != nil || !report.OK() || report.Signed {
		t.Errorf("without a key: %v, %v", report.Signed, err)
	}
	fails(b.auditor("a"), "no audit has been signed")

	b.fullAudit()
	fails(b.auditor("b"), "a key that this kizod does not have")
	fails(b.auditor(), "a key that this kizod does not have")
	if report, err := b.auditor("b", "a").Incremental(t.Context()); err != nil || !report.OK() || !report.Signed {
		t.Errorf("after a rotation: %v\n%s", err, table(report))
	}
	fails(b.auditor("a"), "a key that this kizod does not have") // it is signed with the new key
	if report, err := b.auditor("b").Incremental(t.Context()); err != nil || !report.OK() {
		t.Errorf("after the old key was removed: %v\n%s", err, table(report))
	}

	b.fullAudit()
	b.damage(`CREATE OR REPLACE FUNCTION event_number(transaction_id xid8) RETURNS xid8 LANGUAGE sql STABLE PARALLEL SAFE
		RETURN (transaction_id::text::bigint + 1000)::text::xid8`)
	fails(b.auditor("a"), "restored or repaired")
	b.fullAudit()
	if report := b.incrementalAudit(); !report.OK() {
		t.Errorf("after the repair:\n%s", table(report))
	}
}

// TestIncrementalAuditPassesWhileLedgerIsRunning: each audit continues the one before, while
// transfers of all kinds are committed by several ledgers.
func TestIncrementalAuditPassesWhileLedgerIsRunning(t *testing.T) {
	t.Parallel()
	b := newBusyFixture(t)
	b.fund(b.alice, 100_000)
	b.fund(b.bob, 100_000)
	b.fullAudit()
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for _, l := range []*ledger.Ledger{b.Ledger, b.another(ledger.Config{})} {
		for range 6 {
			callers.Go(func() {
				for ctx.Err() == nil {
					if err := b.moveMoney(l); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	for range 30 {
		if report := b.incrementalAudit(); !report.OK() {
			t.Errorf("the audit of correct books fails:\n%s", table(report))
			break
		}
	}
	stop()
	callers.Wait()
	if report := b.incrementalAudit(); !report.OK() {
		t.Errorf("the last audit fails:\n%s", table(report))
	}
}

// moveMoney makes a transfer, a deposit, and authorizations that end in each way.
func (b *busyFixture) moveMoney(l *ledger.Ledger) error {
	ctx := b.t.Context()
	paid, err := l.Transfer(ctx, b.to(b.bob, b.alice, 2))
	if err != nil {
		return err
	}
	if _, err := l.Reverse(ctx, ledger.FollowUp{Owner: b.bob, Key: newKey(), Target: paid.Transfer.ID, Amount: 1}); err != nil {
		return err
	}
	for _, end := range []func(context.Context, ledger.FollowUp) (ledger.Result, error){l.Capture, l.Void} {
		open, err := l.Authorize(ctx, b.to(b.alice, b.bob, 1))
		if err == nil {
			_, err = end(ctx, ledger.FollowUp{Owner: b.alice, Key: newKey(), Target: open.Transfer.ID})
		}
		if err != nil {
			return err
		}
	}
	r, err := l.OpenDeposit(ctx, ledger.TransferRequest{Owner: b.carol, Key: newKey(), Amount: usd(1)})
	if err == nil {
		_, err = l.Settle(ctx, ledger.Settlement{Transfer: r.Transfer.ID, Executed: true})
	}
	return err
}
