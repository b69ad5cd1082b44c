package mail

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/notices"
)

// Notices of users become mail as follows. The table of notices says what is due, so that nothing
// is lost with Redis, and no mail is sent for a change that was not committed.
//
//	every few seconds: MailDue ─► Task (one for a user at a time) ─► Digest ─► mail ─► Mailed

const (
	noticesInterval = 5 * time.Second // between two looks for notices
	maxNoticeUsers  = 200             // tasks of one look
)

// noticesTask returns the task of a user. Its id follows from the user, so that a user has one at a
// time.
func noticesTask(user uuid.UUID) Task {
	t := NewTask(Notices)
	t.ID, t.User = uuid.NewSHA1(uuid.NameSpaceOID, append([]byte("kizo notices "), user[:]...)), user
	return t
}

// askForNotices asks for the mails with notices that are due, until ctx ends.
func (w *Worker) askForNotices(ctx context.Context) {
	ticker := time.NewTicker(w.config.NoticesInterval)
	defer ticker.Stop()
	for {
		users, err := w.config.Notices.MailDue(ctx, maxNoticeUsers)
		if err != nil && ctx.Err() == nil {
			w.config.Logger.Warn("notices are mailed late", "error", err)
		}
		for _, user := range users {
			w.config.Enqueue(noticesTask(uuid.UUID(user)))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// noticesMail describes the notices of a digest.
func noticesMail(d notices.Digest) Message {
	subject := fmt.Sprintf("%d notices about your Kizo account", len(d.Notices)+d.More)
	if len(d.Notices) == 1 {
		subject = d.Notices[0].Title()
	}
	var body strings.Builder
	fmt.Fprintf(&body, "Hello @%s,\n\nthis happened to your Kizo account:\n", d.Handle)
	for i, n := range d.Notices {
		fmt.Fprintf(&body, "\n  %s\n  on %s, from %s\n", n.Title(), n.At.UTC().Format("2006-01-02 15:04:05 UTC"), cmp.Or(n.Address, "an address that is not known"))
		if safeDetail.MatchString(n.Detail) {
			fmt.Fprintf(&body, "  %s\n", n.Detail)
		}
		if i == len(d.Notices)-1 || d.Notices[i+1].Advice() != n.Advice() {
			fmt.Fprintf(&body, "\n%s\n", n.Advice())
		}
	}
	if d.More > 0 {
		fmt.Fprintf(&body, "\nThere are %d more.\n", d.More)
	}
	body.WriteString("\nAll of them, with the programs that did it: kizo notices\n")
	return Message{To: d.Email, Subject: subject, Body: body.String()}
}

// safeDetail matches the details that a mail repeats. Mail programs make links of everything that
// looks like an address of the web, and an attacker chooses the name of a client, so that a mail
// has neither clients nor any text with dots or slashes; numbers may have a dot.
var safeDetail = regexp.MustCompile(`^([A-Za-z0-9 @_:,-]|[0-9]\.[0-9])+$`)
