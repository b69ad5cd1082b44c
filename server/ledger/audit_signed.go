package ledger

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/pgerr"
	"github.com/JDevAman/kizo/server/problem"
)

// AuditKey signs audits.
type AuditKey struct {
	ID  string // recognizes the key and does not reveal it, at most 64 characters
	Key []byte // of HMAC-SHA-256, 32 bytes
}

// Auditor audits the books and signs what it has found to hold, so that a later audit only has to
// check what is new:
//
//	Full ────────► all rows ──────────────────┐
//	                                          ├─► all invariants hold ─► a row of signed_audits
//	Incremental ─► the last signed audit,     │
//	               and all rows since then ───┘
//
// A signed audit consists of its horizon, and of how many accounts had postings there and what they
// had, per currency. An audit that fails is not signed: the next incremental one begins where this
// one began, and fails too.
//
// An incremental audit does not see a row that was changed after it had been audited, unless the
// change shows in a balance or the row belongs to a transfer with something new. A superuser of the
// database can make such a change; the application's role cannot. Full audits find it.
type Auditor struct {
	Pool *pgxpool.Pool
	// Keys returns the keys. The first one signs; the others are those of older signatures. If
	// there is none, full audits are not signed.
	Keys func() []AuditKey

	overlap time.Duration // auditOverlap when 0
}

// Full recomputes every invariant, as [Audit] does, and signs the result if all hold.
func (a *Auditor) Full(ctx context.Context) (Report, error) {
	var next *signedAudit
	report, err := inSnapshot(ctx, a.Pool, func(ctx context.Context, s *snapshot) (err error) {
		s.report.Mode = FullAudit
		if err := s.check(ctx, fullScope); err != nil {
			return err
		}
		next, err = s.summarize(ctx, nil)
		return err
	})
	return a.sign(ctx, report, next, err)
}

// Incremental checks what is new since the last signed audit, and signs the result if all
// invariants hold. It fails with NoSignedAudit if there is none that it can continue. If the last
// signed audit was changed, that is the one check of the report, and it is broken.
func (a *Auditor) Incremental(ctx context.Context) (Report, error) {
	var next *signedAudit
	report, err := inSnapshot(ctx, a.Pool, func(ctx context.Context, s *snapshot) error {
		s.report.Mode = IncrementalAudit
		began := time.Now()
		last, err := s.lastSigned(ctx)
		if err != nil {
			return err
		}
		signature, err := last.verify(a.Keys())
		if err != nil {
			return err
		}
		s.report.Since, s.report.FullAt = last.at, last.fullAt
		signature.Duration = time.Since(began)
		s.report.Checks = append(s.report.Checks, signature)
		if !signature.OK() {
			return nil
		}
		if err := s.check(ctx, last.scope(cmp.Or(a.overlap, auditOverlap))); err != nil {
			return err
		}
		next, err = s.summarize(ctx, last)
		return err
	})
	return a.sign(ctx, report, next, err)
}

// sign stores a signed audit if all invariants hold and the database can store it.
func (a *Auditor) sign(ctx context.Context, report Report, next *signedAudit, err error) (Report, error) {
	keys := a.Keys()
	if err != nil || !report.OK() || len(keys) == 0 {
		return report, err
	}
	next.keyID = keys[0].ID
	next.signature = next.mac(keys[0])
	const insert = `INSERT INTO signed_audits (at, mode, full_at, epoch, horizon, latest, currencies, accounts, balances, digests, key_id, signature)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text[]::numeric[], $10::text[]::numeric[], $11, $12)`
	_, err = a.Pool.Exec(ctx, insert, next.at, next.mode, next.fullAt, next.epoch, next.horizon, next.latest,
		next.currencies, next.accounts, next.balances, next.digests, next.keyID, next.signature)
	if pgerr.IsReadOnly(err) || pgerr.IsUndefinedTable(err) { // a standby, or the schema before this table
		return report, nil
	}
	if err != nil {
		return report, fmt.Errorf("store the signed audit, which found no broken invariant: %w", err)
	}
	report.Signed = true
	return report, nil
}

// signedAudit is a row of signed_audits. The slices have an element for each currency.
type signedAudit struct {
	id              int64 // not signed
	at              time.Time
	mode            AuditMode
	fullAt          time.Time // of the full audit that it continues, directly or not
	epoch           uint64    // event_number('0'): after a repair, numbers of events have another meaning
	horizon         uint64    // event_number of the oldest transaction that was running
	latest          time.Time // no posting of the snapshot is dated after it
	currencies      []string
	accounts        []int64 // that had postings
	balances        []string
	digests         []string // see balancesAtHorizon
	keyID           string
	signature       []byte
	epochNow, limit uint64 // event_number('0') and the horizon now, not stored
}

// lastSigned reads the newest signed audit. It fails with NoSignedAudit if there is none.
func (s *snapshot) lastSigned(ctx context.Context) (*signedAudit, error) {
	const read = `SELECT id, at, mode, full_at, epoch, horizon, latest, currencies, accounts, balances::text[], digests::text[], key_id,
			signature, event_number('0'), event_number(pg_snapshot_xmin(pg_current_snapshot()))
		FROM signed_audits ORDER BY id DESC LIMIT 1`
	var last signedAudit
	err := s.lead.QueryRow(ctx, read).Scan(&last.id, &last.at, &last.mode, &last.fullAt, &last.epoch, &last.horizon, &last.latest,
		&last.currencies, &last.accounts, &last.balances, &last.digests, &last.keyID, &last.signature, &last.epochNow, &last.limit)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, problem.New(NoSignedAudit, "no audit has been signed yet: run a full one")
	}
	if err != nil {
		return nil, fmt.Errorf("read the last signed audit: %w", err)
	}
	return &last, nil
}

// verify checks the signature. It fails with NoSignedAudit if the audit cannot be continued.
func (s *signedAudit) verify(keys []AuditKey) (Check, error) {
	check := Check{Name: "signature", Sentence: "the last signed audit is as it was signed", Rows: 1, Broken: []string{}}
	for _, key := range keys {
		if key.ID != s.keyID {
			continue
		}
		if !hmac.Equal(s.mac(key), s.signature) {
			check.BrokenRows, check.Broken = 1, append(check.Broken, fmt.Sprintf("audit %d", s.id))
			return check, nil
		}
		if s.epoch != s.epochNow || s.horizon > s.limit {
			return check, problem.New(NoSignedAudit, "the database was restored or repaired since the last signed audit: run a full one")
		}
		return check, nil
	}
	return check, problem.New(NoSignedAudit, "the last audit was signed with a key that this kizod does not have: "+
		"use the secrets file of the kizod that made it, or run a full audit")
}

// mac returns the HMAC-SHA-256 of the audit, version 1. It does not contain the id: an older signed
// audit, passed off as a newer one, only makes an incremental audit check more.
func (s *signedAudit) mac(key AuditKey) []byte {
	e := encoder{}
	e.text("kizo.audit.v1")
	e.time(s.at)
	e.text(string(s.mode))
	e.time(s.fullAt)
	e.int(int64(s.epoch))
	e.int(int64(s.horizon))
	e.time(s.latest)
	e.int(int64(len(s.currencies)))
	for i := range s.currencies {
		e.text(s.currencies[i])
		e.int(s.accounts[i])
		e.text(s.balances[i])
		e.text(s.digests[i])
	}
	e.text(key.ID)
	mac := hmac.New(sha256.New, key.Key)
	mac.Write(e.buf)
	return mac.Sum(nil)
}

// auditOverlap is how long before the signed audit the ids of the transfers begin that an
// incremental audit checks. Rows with events are found by the numbers of these; the ids find
// captures and voids, which have none, and rows whose number was changed.
const auditOverlap = time.Minute

// scope returns what is new since the audit, and the transfers whose ids began in the overlap.
func (s *signedAudit) scope(overlap time.Duration) scope {
	return scope{relations: newRows, lookUps: true, args: []any{
		s.horizon, firstTransferID(s.at.Add(-overlap)), s.latest, s.currencies, s.accounts, s.balances, s.digests,
	}}
}

// summarize returns what the snapshot's audit leaves to the next one. last is the audit that it
// continues, or nil.
func (s *snapshot) summarize(ctx context.Context, last *signedAudit) (*signedAudit, error) {
	next := &signedAudit{at: s.report.At, mode: s.report.Mode, fullAt: s.report.At}
	if last != nil {
		next.fullAt = last.fullAt
	}
	const read = `SELECT event_number('0'), event_number(pg_snapshot_xmin(pg_current_snapshot())),
			GREATEST($1, (SELECT max(as_of) FROM accounts))`
	if err := s.lead.QueryRow(ctx, read, next.at).Scan(&next.epoch, &next.horizon, &next.latest); err != nil {
		return nil, fmt.Errorf("read the horizon: %w", err)
	}
	// The relations are those of an audit that begins at this horizon.
	of := next.scope(0)
	of.args[1] = [16]byte{0: 0xff} // only rows with events above the horizon matter
	if err := tuneAudit(ctx, s.lead, of); err != nil {
		return nil, fmt.Errorf("sum up the balances: %w", err)
	}
	const sum = `WITH ` + newRows + `SELECT COALESCE(array_agg(currency ORDER BY currency), '{}'), COALESCE(array_agg(accounts ORDER BY currency), '{}'),
			COALESCE(array_agg(balances ORDER BY currency), '{}')::text[], COALESCE(array_agg(digest ORDER BY currency), '{}')::text[]
		FROM ` + balancesAtHorizon + ` b`
	if err := s.lead.QueryRow(ctx, sum, of.arguments()...).Scan(&next.currencies, &next.accounts, &next.balances, &next.digests); err != nil {
		return nil, fmt.Errorf("sum up the balances: %w", err)
	}
	return next, nil
}
