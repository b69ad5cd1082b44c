package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/JDevAman/kizo/client"
)

// sessionFile stores the tokens for one server in a file that only its owner can read. All kizo
// processes of a user share it.
type sessionFile struct {
	state  string // the state directory
	server string
	name   string // of the file, without its ending

	owner   string                                    // the handle of the only user of the context; empty: any
	replace bool                                      // the session may become that of another user
	reject  func(context.Context, client.Credentials) // ends a session that is not stored; nil: nothing does
}

// storedSession is the content of the file.
type storedSession struct {
	Server string `json:"server"`
	client.Credentials
}

func newSessionFile(state, server string) *sessionFile {
	// The name is for the user, the digest distinguishes servers with the same name.
	name := "server"
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		name = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
				return r
			}
			return '_'
		}, u.Host)
	}
	digest := sha256.Sum256([]byte(server))
	return &sessionFile{state: state, server: server, name: fmt.Sprintf("%.60s-%x", name, digest[:4])}
}

func (s *sessionFile) dir() string  { return filepath.Join(s.state, "sessions") }
func (s *sessionFile) path() string { return filepath.Join(s.dir(), s.name+".json") }

// Load reads the file. It needs no lock: the file is only ever replaced as a whole.
func (s *sessionFile) Load(context.Context) (client.Credentials, error) {
	text, err := readPrivate(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return client.Credentials{}, nil
	}
	if err != nil {
		return client.Credentials{}, fmt.Errorf("the stored session is not used: %w", err)
	}
	var held storedSession
	if err := json.Unmarshal(text, &held); err != nil || held.Server != s.server {
		return client.Credentials{}, fmt.Errorf("the stored session %s is damaged: remove it and log in again", s.path())
	}
	return held.Credentials, nil
}

// maxSession is the space that is reserved for a session before tokens are requested, in bytes. The
// longest known session takes 2 KB.
const maxSession = 16 << 10

// Update changes the file under a lock that all processes use. Space for the new content is
// allocated before change is called, so that a full disk loses no token.
func (s *sessionFile) Update(ctx context.Context, change func(client.Credentials) (client.Credentials, error)) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()

	held, err := s.Load(ctx)
	if err != nil {
		return err
	}
	removeLeftovers(s.path())
	reserved, err := reserve(s.path(), maxSession)
	if err != nil {
		return fmt.Errorf("the session was not changed, because the new one could not be stored: %w", err)
	}
	defer reserved.release()
	changed, changeErr := change(held)
	if changed == held {
		return changeErr
	}
	if err := s.checkUser(held, changed); err != nil {
		if s.reject != nil {
			s.reject(ctx, changed)
		}
		return errors.Join(changeErr, err)
	}
	return errors.Join(changeErr, s.store(changed, reserved))
}

// checkUser refuses a new session of another user than the one before or the context's. A refresh
// changes no user: what it returns is always stored.
func (s *sessionFile) checkUser(held, changed client.Credentials) error {
	user := changed.User
	switch {
	case s.replace, changed.AccessToken == "", user.Id == held.User.Id && held.AccessToken != "":
		return nil
	case s.owner == user.Handle:
		return nil
	case s.owner != "":
		return otherUser(s.owner, user.Handle)
	case held.AccessToken != "" && held.User.Handle != "":
		return otherUser(held.User.Handle, user.Handle)
	}
	return nil
}

// otherUser is the error of a log-in that would replace the session of another user.
func otherUser(owner, handle string) error {
	return usagef("the session was not stored: this context is for @%s, and @%s logged in", owner, handle)
}

// Clear removes the file. It needs no disk space.
func (s *sessionFile) Clear(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return removeFile(s.path())
}

// lock excludes every other change. The lock is a separate file, because the one with the tokens is
// replaced each time.
func (s *sessionFile) lock(ctx context.Context) (unlock func(), err error) {
	if err := makePrivateDir(s.dir()); err != nil {
		return nil, err
	}
	unlock, err = lockFile(ctx, filepath.Join(s.dir(), s.name+".lock"))
	if err != nil {
		return nil, fmt.Errorf("lock the stored session: %w", err)
	}
	return unlock, nil
}

func (s *sessionFile) store(c client.Credentials, reserved *reservation) error {
	if c == (client.Credentials{}) {
		return removeFile(s.path())
	}
	text, err := json.MarshalIndent(storedSession{s.server, c}, "", "  ")
	if err != nil {
		return err
	}
	if err := reserved.commit(append(text, '\n')); err != nil {
		return fmt.Errorf("store the session: %w", err)
	}
	return nil
}
