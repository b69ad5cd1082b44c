package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"github.com/JDevAman/kizo/client"
)

// sessionStore keeps the tokens that a context has for one server, in a vault. All kizo processes
// of a user share it.
type sessionStore struct {
	state  string // the state directory of the context
	server string
	name   string // of the files, without their endings
	vault  vault

	owner   string                                    // the handle of the only user of the context; empty: any
	replace bool                                      // the session may become that of another user
	reject  func(context.Context, client.Credentials) // ends a session that is not stored; nil: nothing does

	// A vault other than a file is slow to read, so that the tokens are cached. Those of a session
	// that another process has refreshed stay valid until they expire, and Update always reads the
	// vault.
	mu     sync.Mutex
	cached *client.Credentials
}

// vault is where the text of a session is kept. The lock of the session protects its content.
type vault interface {
	// read returns the text; nil if there is none.
	read(ctx context.Context) ([]byte, error)

	// prepare makes sure that a text can be stored, before tokens are requested that would be lost
	// otherwise. held is what read has returned.
	prepare(ctx context.Context, held []byte) (pendingWrite, error)

	// erase removes the text, if there is one. It needs no disk space.
	erase(ctx context.Context) error

	// isAtomic reports whether a text is replaced as a whole, so that reading needs no lock.
	isAtomic() bool

	// whenIdle calls f when no operation that was given up can change the content any more.
	whenIdle(f func())

	// String says where the text is: "the file /home/ada/…", "the system keyring".
	String() string
}

// pendingWrite is the right to store a text.
type pendingWrite interface {
	commit(ctx context.Context, text []byte) error
	release() // after a commit it does nothing
}

// storedSession is the text in the vault.
type storedSession struct {
	Server string `json:"server"`
	client.Credentials
}

func newSessionStore(state, server string) *sessionStore {
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
	return &sessionStore{state: state, server: server, name: fmt.Sprintf("%.60s-%x", name, digest[:4])}
}

func (s *sessionStore) dir() string { return filepath.Join(s.state, "sessions") }

// Load returns the session.
func (s *sessionStore) Load(ctx context.Context) (client.Credentials, error) {
	if _, isFile := s.vault.(*fileVault); isFile {
		held, _, err := s.load(ctx)
		return held, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cached != nil {
		return *s.cached, nil
	}
	if !s.vault.isAtomic() {
		unlock, err := s.lock(ctx)
		if err != nil {
			return client.Credentials{}, err
		}
		defer unlock()
	}
	held, _, err := s.load(ctx)
	if err == nil {
		s.cached = &held
	}
	return held, err
}

// load reads the vault. It returns the text, too.
func (s *sessionStore) load(ctx context.Context) (client.Credentials, []byte, error) {
	text, err := s.vault.read(ctx)
	if err != nil {
		return client.Credentials{}, nil, fmt.Errorf("the stored session is not used: %w", err)
	}
	if text == nil {
		return client.Credentials{}, nil, nil
	}
	var held storedSession
	if err := json.Unmarshal(text, &held); err != nil || held.Server != s.server {
		return client.Credentials{}, nil, withHint(fmt.Errorf("the stored session in %s is damaged: remove it and log in again", s.vault), "kizo logout")
	}
	return held.Credentials, text, nil
}

// remember caches the session.
func (s *sessionStore) remember(held client.Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cached = &held
}

// maxSession is the space that is reserved for a session before tokens are requested, in bytes. The
// longest known session takes 2 KB.
const maxSession = 16 << 10

// Update changes the session under a lock that all processes use. That the new tokens can be stored
// is made sure before change is called, so that a full disk or a locked keyring loses none.
func (s *sessionStore) Update(ctx context.Context, change func(client.Credentials) (client.Credentials, error)) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { s.vault.whenIdle(unlock) }()

	held, text, err := s.load(ctx)
	if err != nil {
		return err
	}
	s.remember(held)
	next, err := s.vault.prepare(ctx, text)
	if err != nil {
		return fmt.Errorf("the session was not changed, because the new one could not be stored: %w", err)
	}
	defer next.release()
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
	// The caller may have been interrupted, but the tokens are here.
	return errors.Join(changeErr, s.store(context.WithoutCancel(ctx), changed, next))
}

// checkUser refuses a new session of another user than the one before or the context's. A refresh
// changes no user: what it returns is always stored.
func (s *sessionStore) checkUser(held, changed client.Credentials) error {
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

// Clear removes the session. It needs no disk space.
func (s *sessionStore) Clear(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { s.vault.whenIdle(unlock) }()
	if err := s.vault.erase(ctx); err != nil {
		return err
	}
	s.remember(client.Credentials{})
	return nil
}

// lock excludes every other change, in whatever vault. The lock is a file of its own, because a
// session file is replaced each time.
func (s *sessionStore) lock(ctx context.Context) (unlock func(), err error) {
	if err := makePrivateDir(s.dir()); err != nil {
		return nil, err
	}
	unlock, err = lockFile(ctx, filepath.Join(s.dir(), s.name+".lock"))
	if err != nil {
		return nil, fmt.Errorf("lock the stored session: %w", err)
	}
	return unlock, nil
}

func (s *sessionStore) store(ctx context.Context, c client.Credentials, next pendingWrite) error {
	if c == (client.Credentials{}) {
		if err := s.vault.erase(ctx); err != nil {
			return err
		}
		s.remember(c)
		return nil
	}
	text, err := json.Marshal(storedSession{s.server, c})
	if err != nil {
		return err
	}
	if err := next.commit(ctx, text); err != nil {
		return fmt.Errorf("store the session: %w", err)
	}
	s.remember(c)
	return nil
}
