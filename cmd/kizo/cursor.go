package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/JDevAman/kizo/internal/printable"
)

// cursor is a place in the events of a user, in a file: the last event that a receiver has
// accepted. While a process has it open, no other process does.
type cursor struct {
	path   string
	held   cursorFile
	unlock func()
}

// cursorFile is the content of the file.
type cursorFile struct {
	Version int    `json:"version"`
	Server  string `json:"server"`
	User    string `json:"user"`   // id
	Target  string `json:"target"` // the receiver, for the user who opens the file
	After   string `json:"after"`  // an event_id, or a time
}

// cursorVersion changes when an older kizo could not continue after a cursor.
const cursorVersion = 1

// cursorLockWait is how long a second process waits for the first one to end.
const cursorLockWait = 2 * time.Second

// cursorDir returns the directory of the cursors and of the secrets of webhooks.
func (a *app) cursorDir() (string, error) {
	state, err := a.stateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "listen")
	return dir, makePrivateDir(dir)
}

// cursorName is the name of the files of a receiver, without their endings. The first part is for
// the user, the digest distinguishes receivers.
func cursorName(want cursorFile, shown string) string {
	shown = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, shown)
	digest := sha256.Sum256([]byte(want.Server + "\x00" + want.User + "\x00" + want.Target))
	return fmt.Sprintf("%.40s-%x", shown, digest[:6])
}

// openCursor opens a cursor for the server, the user and the receiver in want. If there is no file
// yet, the cursor is where want says, and the file is created when it moves.
func openCursor(ctx context.Context, path string, want cursorFile) (*cursor, error) {
	short, cancel := context.WithTimeout(ctx, cursorLockWait)
	defer cancel()
	unlock, err := lockFile(short, path+".lock")
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("another process of kizo delivers these events: it has %s open", printable.Text(path))
	}
	if err != nil {
		return nil, err
	}
	c := &cursor{path: path, held: want, unlock: unlock}
	c.held.Version = cursorVersion
	if err := c.load(want); err != nil {
		unlock()
		return nil, err
	}
	removeLeftovers(path)
	return c, nil
}

func (c *cursor) load(want cursorFile) error {
	content, err := readPrivate(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var found cursorFile
	shown := printable.Text(c.path)
	switch err := json.Unmarshal(content, &found); {
	case err != nil || found.Version < 1 || found.After == "":
		return fmt.Errorf("the cursor %s is damaged: remove it, and choose with --since where to start", shown)
	case found.Version > cursorVersion:
		return fmt.Errorf("a newer version of kizo wrote the cursor %s: use that version", shown)
	case found.Server != want.Server || found.User != want.User:
		return usagef("the cursor %s belongs to another user or server (%s)", shown, printable.Text(found.Server))
	}
	// With --cursor, another receiver may continue where an earlier one stopped.
	c.held.After = found.After
	return nil
}

// move changes where the cursor is. The change is on disk when it returns.
func (c *cursor) move(after string) error {
	if after == "" || after == c.held.After {
		return nil
	}
	next := c.held
	next.After = after
	content, err := json.Marshal(next)
	if err == nil {
		err = replaceFile(c.path, append(content, '\n'))
	}
	if err != nil {
		return fmt.Errorf("the cursor could not be moved: %w", err)
	}
	c.held = next
	return nil
}
