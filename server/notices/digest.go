package notices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/server/ids"
)

// MailInterval is the shortest time between two mails with notices to a user. A notice after a
// quiet time is mailed at once, and those that follow it together: at most six mails in an hour, of
// the ten that an address gets.
const MailInterval = 10 * time.Minute

const (
	mailFor    = 24 * time.Hour // notices that could not be mailed in this time are only in the inbox
	maxMailed  = 20             // notices that a mail describes; it counts the others
	sqlMailDue = `
SELECT DISTINCT n.user_id FROM notices n
 WHERE n.mail_due AND NOT EXISTS (SELECT FROM notices m WHERE m.user_id = n.user_id AND m.mailed_at > $1)
 LIMIT $2`

	sqlMailAddress = `
SELECT u.email, u.handle, EXISTS (SELECT FROM notices m WHERE m.user_id = u.id AND m.mailed_at > $2)
  FROM users u WHERE u.id = $1 AND u.email_verified_at IS NOT NULL AND u.status <> 'closed'`

	sqlNoMail = `UPDATE notices SET mail_due = false WHERE user_id = $1 AND mail_due AND at <= $2`

	sqlToMail = `
SELECT ` + noticeColumns + `
  FROM notices n LEFT JOIN users u ON u.id = n.payee_id
 WHERE n.user_id = $1 AND n.mail_due
 ORDER BY n.id LIMIT $2`

	sqlMailed = `UPDATE notices SET mail_due = false, mailed_at = $3 WHERE user_id = $1 AND mail_due AND id <= $2`
)

// Digest is what a mail says to a user. It is zero if there is nothing to mail.
type Digest struct {
	Email, Handle string
	Notices       []Notice // oldest first, at most 20
	More          int      // further notices, which the mail only counts
	last          int64    // the id of the newest one
}

// MailDue returns at most limit users with notices that should be mailed now.
func (b *Inbox) MailDue(ctx context.Context, limit int) ([]ids.UserID, error) {
	rows, err := b.pool.Query(ctx, sqlMailDue, b.now().Add(-MailInterval), limit)
	if err != nil {
		return nil, fmt.Errorf("find notices to mail: %w", err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[ids.UserID])
	if err != nil {
		return nil, fmt.Errorf("find notices to mail: %w", err)
	}
	return users, nil
}

// Digest returns what to mail to a user now, at the verified address that the user has now. Notices
// that are older than a day, and those of a user without a verified address, are not mailed any
// more. The caller reports with Mailed what became of the mail.
func (b *Inbox) Digest(ctx context.Context, user ids.UserID) (d Digest, err error) {
	var recent bool
	now := b.now()
	tooOld := now.Add(-mailFor)
	err = b.pool.QueryRow(ctx, sqlMailAddress, user, now.Add(-MailInterval)).Scan(&d.Email, &d.Handle, &recent)
	if errors.Is(err, pgx.ErrNoRows) {
		tooOld, err = now, nil
	}
	if err == nil && recent {
		return Digest{}, nil
	}
	if err == nil {
		_, err = b.pool.Exec(ctx, sqlNoMail, user, tooOld)
	}
	if err != nil {
		return Digest{}, fmt.Errorf("read the notices to mail: %w", err)
	}
	rows, err := b.pool.Query(ctx, sqlToMail, user, maxKept)
	if err != nil {
		return Digest{}, fmt.Errorf("read the notices to mail: %w", err)
	}
	if d.Notices, err = pgx.CollectRows(rows, scanNotice); err != nil {
		return Digest{}, fmt.Errorf("read the notices to mail: %w", err)
	}
	if len(d.Notices) == 0 || d.Email == "" {
		return Digest{}, nil
	}
	d.last = d.Notices[len(d.Notices)-1].ID
	d.More = max(len(d.Notices)-maxMailed, 0)
	d.Notices = d.Notices[:len(d.Notices)-d.More]
	return d, nil
}

// Mailed records that the notices of a digest were mailed, or cannot be. Until then they are due: a
// process that is killed in between mails them again.
func (b *Inbox) Mailed(ctx context.Context, user ids.UserID, d Digest) error {
	if _, err := b.pool.Exec(ctx, sqlMailed, user, d.last, b.now()); err != nil {
		return fmt.Errorf("record that notices were mailed: %w", err)
	}
	return nil
}
