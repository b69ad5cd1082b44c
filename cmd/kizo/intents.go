package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
)

// intentLog records each request that moves money before it is sent:
//
//	begin ──► fsync ──► send ──► answer ──► end
//	   └── a crash anywhere in between leaves an open intent: kizo retry sends it again, same key
//
// It is a file of JSON lines. If a crash left an incomplete line, its request was never sent, or
// its outcome will be requested again; both are safe to skip.
type intentLog struct {
	dir string
	now func() time.Time
}

// intent is a request that was about to be sent.
type intent struct {
	ID      string         `json:"id"` // of this run; several runs may send the same key
	At      time.Time      `json:"at"`
	Server  string         `json:"server"`
	UserID  string         `json:"user_id"` // an intent is only ever sent again as the same user
	Handle  string         `json:"handle"`
	What    string         `json:"what"`            // shown to the user: "transfer 12.50 USD to @bob"
	Trace   string         `json:"trace,omitempty"` // traceparent of the run that created it
	Command client.Command `json:"command"`
}

// intentLine is one line of the file: exactly one of the two is set.
type intentLine struct {
	Begin *intent    `json:"begin,omitempty"`
	End   *intentEnd `json:"end,omitempty"`
}

type intentEnd struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Outcome  string    `json:"outcome"` // done, refused, not_done, dropped
	Transfer string    `json:"transfer,omitempty"`

	// Settles is the fingerprint of the command if the server answered to its key: it ends every
	// open intent of the same command. It is empty if this run failed but another may not have.
	Settles string `json:"settles,omitempty"`
}

// maxIntentLog is the size in bytes beyond which the log is rewritten with its open intents only.
const maxIntentLog = 1 << 20

// fingerprint is the same for two runs that send the same command under the same key.
func (i intent) fingerprint() string {
	text, _ := json.Marshal([]string{i.Server, i.UserID, i.Command.Path, i.Command.Key, string(i.Command.Body)})
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}

// memo returns the user's note of the command; empty if it has none.
func (i intent) memo() string {
	var body struct {
		Memo string `json:"memo"`
	}
	if json.Unmarshal(i.Command.Body, &body) != nil {
		return ""
	}
	return body.Memo
}

// Begin records an intent and gives it its id. When it returns without an error, the intent is on
// disk.
func (l *intentLog) Begin(ctx context.Context, i *intent) error {
	i.ID, i.At = uuid.Must(uuid.NewV7()).String(), l.now().UTC()
	return l.append(ctx, intentLine{Begin: i})
}

// End records the outcome of an intent.
func (l *intentLog) End(ctx context.Context, end intentEnd) error {
	end.At = l.now().UTC()
	return l.append(ctx, intentLine{End: &end})
}

// Open returns the intents without a known outcome, the oldest first.
func (l *intentLog) Open() ([]intent, error) {
	text, err := readPrivate(l.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return openIntents(text), nil
}

func (l *intentLog) path() string { return filepath.Join(l.dir, "intents.jsonl") }

func openIntents(text []byte) []intent {
	var begun []intent
	for line := range bytes.Lines(text) {
		var entry intentLine
		if json.Unmarshal(line, &entry) != nil {
			continue
		}
		if entry.Begin != nil {
			begun = append(begun, *entry.Begin)
		}
		if entry.End == nil {
			continue
		}
		kept := begun[:0]
		for _, i := range begun {
			if i.ID != entry.End.ID && (entry.End.Settles == "" || i.fingerprint() != entry.End.Settles) {
				kept = append(kept, i)
			}
		}
		begun = kept
	}
	return begun
}

// append writes one line under the lock and waits until it is on disk.
func (l *intentLog) append(ctx context.Context, line intentLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if err := makePrivateDir(l.dir); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(l.dir, "intents.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.compact(); err != nil {
		return err
	}
	file, err := openPrivate(l.path(), os.O_CREATE|os.O_RDWR|os.O_APPEND)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := file.ReadAt(last, size-1); err != nil {
			return err
		}
	}
	text = append(text, '\n')
	if last[0] != '\n' {
		text = append([]byte{'\n'}, text...) // an incomplete line stays a line of its own
	}
	if _, err := file.Write(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if size == 0 {
		return syncDir(l.dir)
	}
	return nil
}

// compact removes ended intents once the log is large. The caller holds the lock.
func (l *intentLog) compact() error {
	info, err := os.Lstat(l.path())
	if err != nil || info.Size() < maxIntentLog {
		return nil //nolint:nilerr // there is nothing to compact
	}
	text, err := readPrivate(l.path())
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	for _, i := range openIntents(text) {
		line, err := json.Marshal(intentLine{Begin: &i})
		if err != nil {
			return err
		}
		kept.Write(append(line, '\n'))
	}
	return replaceFile(l.path(), kept.Bytes())
}
