package notices

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/ids"
)

// Kind says what a notice is about: the name of a security event, or one of the kinds below.
type Kind string

// The kinds of notices about payments.
const (
	FirstPayment Kind = "first_payment" // to a payee whom the user had not paid before
	LargePayment Kind = "large_payment" // above the user's threshold, see LargeAmount
)

// Notice tells a user what happened.
type Notice struct {
	ID      int64 // higher than that of every earlier notice of the user
	At      time.Time
	Kind    Kind
	Client  string   // the user agent that did it, cleaned; empty if it is not known
	Address string   // its IP address, or empty
	Detail  string   // such as the name of an API key
	Payment *Payment // nil for a notice about the account
	ReadAt  *time.Time
}

// Payment is what a notice about a payment is about.
type Payment struct {
	Transfer uuid.UUID
	Amount   int64 // minor units
	Currency string
	Payee    string // handle, or empty for the bank
}

// Page is a part of an inbox.
type Page struct {
	Notices []Notice // newest first
	Next    int64    // the Before of the next page; 0 after the last one
	Unread  int      // in the whole inbox
}

// Query says which notices to list.
type Query struct {
	Before int64 // those older than the notice with this id; 0: from the newest on
	Unread bool  // only those that are not read
	Limit  int   // at most
}

// Inbox reads and changes the notices of users. It is safe for concurrent use.
type Inbox struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// New returns an Inbox for a pool that is connected as kizo_app.
func New(pool *pgxpool.Pool) *Inbox { return &Inbox{pool, time.Now} }

const (
	noticeColumns = `n.id, n.at, n.kind, n.client, n.address, n.detail, n.transfer_id, coalesce(n.amount, 0), coalesce(n.currency, ''), coalesce(u.handle, ''), n.read_at`

	sqlList = `
SELECT ` + noticeColumns + `
  FROM notices n LEFT JOIN users u ON u.id = n.payee_id
 WHERE n.user_id = $1 AND ($2 = 0 OR n.id < $2) AND (NOT $3 OR n.read_at IS NULL)
 ORDER BY n.id DESC LIMIT $4`

	sqlCountUnread = `SELECT count(*) FROM notices WHERE user_id = $1 AND read_at IS NULL`

	// A notice that was read before counts as found, and keeps its time.
	sqlMarkRead = `
WITH marked AS (
    UPDATE notices SET read_at = $3 WHERE user_id = $1 AND id = ANY($2) AND read_at IS NULL
)
SELECT count(*) FROM notices WHERE user_id = $1 AND id = ANY($2)`

	sqlPrune = `
DELETE FROM notices
 WHERE id = ANY(ARRAY(
       SELECT id FROM notices
        WHERE at < $1
        ORDER BY at LIMIT $2
          FOR UPDATE SKIP LOCKED))`
)

func scanNotice(row pgx.CollectableRow) (n Notice, err error) {
	var (
		transfer *uuid.UUID
		p        Payment
	)
	err = row.Scan(&n.ID, &n.At, &n.Kind, &n.Client, &n.Address, &n.Detail, &transfer, &p.Amount, &p.Currency, &p.Payee, &n.ReadAt)
	if transfer != nil {
		p.Transfer = *transfer
		n.Payment = &p
	}
	return n, err
}

// List returns a page of the inbox of a user.
func (b *Inbox) List(ctx context.Context, user ids.UserID, q Query) (page Page, err error) {
	rows, err := b.pool.Query(ctx, sqlList, user, q.Before, q.Unread, q.Limit+1)
	if err != nil {
		return Page{}, fmt.Errorf("list notices: %w", err)
	}
	if page.Notices, err = pgx.CollectRows(rows, scanNotice); err != nil {
		return Page{}, fmt.Errorf("list notices: %w", err)
	}
	if len(page.Notices) > q.Limit {
		page.Notices = page.Notices[:q.Limit]
		page.Next = page.Notices[q.Limit-1].ID
	}
	page.Unread, err = b.unread(ctx, user)
	return page, err
}

func (b *Inbox) unread(ctx context.Context, user ids.UserID) (n int, err error) {
	if err := b.pool.QueryRow(ctx, sqlCountUnread, user).Scan(&n); err != nil {
		return 0, fmt.Errorf("count unread notices: %w", err)
	}
	return n, nil
}

// MarkRead marks notices of a user as read. It returns how many of the ids are of notices of the
// user, and how many notices of the inbox are still unread. Ids of other users are ignored, like
// those of no notice.
func (b *Inbox) MarkRead(ctx context.Context, user ids.UserID, notices []int64) (found, unread int, err error) {
	if err := b.pool.QueryRow(ctx, sqlMarkRead, user, notices, b.now()).Scan(&found); err != nil {
		return 0, 0, fmt.Errorf("mark notices as read: %w", err)
	}
	unread, err = b.unread(ctx, user)
	return found, unread, err
}

// maxKept is how many notices of a user the database keeps (migrations/0030_notices.sql).
const maxKept = 500

// keep is how long a notice is kept: as long as a security event.
const keep = 180 * 24 * time.Hour

// Prune deletes at most limit notices that are older than 180 days.
func (b *Inbox) Prune(ctx context.Context, limit int) (deleted int64, err error) {
	tag, err := b.pool.Exec(ctx, sqlPrune, b.now().Add(-keep), limit)
	if err != nil {
		return 0, fmt.Errorf("prune notices: %w", err)
	}
	return tag.RowsAffected(), nil
}
