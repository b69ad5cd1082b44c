package mail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxMailbox is how many mails a Mailbox keeps.
const maxMailbox = 200

// Mailbox keeps mail in a directory instead of sending it: the mail of kizod dev, which kizo dev
// mail shows. Each file is one mail, and the order of their names is the order of the mails. Only
// the user of kizod reads them.
type Mailbox struct{ dir string }

// NewMailbox creates the directory.
func NewMailbox(dir string) (*Mailbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the mailbox: %w", err)
	}
	return &Mailbox{dir}, nil
}

// Send stores a message, and deletes the oldest ones above the maximum.
func (b *Mailbox) Send(_ context.Context, m Message) error {
	m, err := m.check()
	if err != nil {
		return &Rejected{err}
	}
	now := time.Now().UTC()
	file, err := os.CreateTemp(b.dir, ".new-*") // mode 0600; its name is of no mail yet
	if err != nil {
		return fmt.Errorf("store mail: %w", err)
	}
	_, err = fmt.Fprintf(file, "To: %s\nDate: %s\nSubject: %s\n\n%s", m.To, now.Format(time.RFC1123Z), m.Subject, m.Body)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(b.dir, now.Format("20060102T150405.000000000Z")+".txt"))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store mail: %w", err), os.Remove(file.Name()))
	}
	return b.deleteOld()
}

func (b *Mailbox) deleteOld() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return fmt.Errorf("list the mailbox: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".txt") })
	for _, old := range entries[:max(len(entries)-maxMailbox, 0)] {
		os.Remove(filepath.Join(b.dir, old.Name()))
	}
	return nil
}
