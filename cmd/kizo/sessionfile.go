package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// fileVault keeps a session in a file that only its owner can read.
type fileVault struct{ path string }

// sessionPath is where the session is if its vault is a file.
func (s *sessionStore) sessionPath() string { return filepath.Join(s.dir(), s.name+".json") }

func (v *fileVault) String() string { return "the file " + v.path }

func (v *fileVault) read(context.Context) ([]byte, error) {
	text, err := readPrivate(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// prepare reserves disk space.
func (v *fileVault) prepare(context.Context, []byte) (pendingWrite, error) {
	removeLeftovers(v.path)
	reserved, err := reserve(v.path, maxSession)
	if err != nil {
		return nil, err
	}
	return fileWrite{reserved}, nil
}

func (v *fileVault) erase(context.Context) error { return removeFile(v.path) }

func (v *fileVault) isAtomic() bool { return true }

func (v *fileVault) whenIdle(f func()) { f() }

type fileWrite struct{ reserved *reservation }

func (w fileWrite) commit(_ context.Context, text []byte) error {
	return w.reserved.commit(append(text, '\n'))
}

func (w fileWrite) release() { w.reserved.release() }
