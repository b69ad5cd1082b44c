package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/zalando/go-keyring"
)

// keyringService is the name under which the system keyring lists sessions.
const keyringService = "kizo"

// keyringTimeout is how long the system keyring may take for one operation. A locked one may ask
// the user meanwhile.
const keyringTimeout = 3 * time.Second

// keyringVault keeps a session in the keyring of the system: the Secret Service on Linux and BSD,
// the Keychain on macOS, the Credential Manager on Windows.
type keyringVault struct {
	item    string         // the name of the session in the keyring
	timeout time.Duration  // of one operation
	running sync.WaitGroup // operations that have not ended, also those that were given up
}

func (v *keyringVault) String() string { return "the system keyring, as " + v.item }

func (v *keyringVault) read(ctx context.Context) ([]byte, error) {
	var text string
	err := v.do(ctx, func() (err error) {
		text, err = keyring.Get(keyringService, v.item)
		return err
	})
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []byte(text), nil
}

// prepare stores what is there already, which fails if the keyring is locked or absent.
func (v *keyringVault) prepare(ctx context.Context, held []byte) (pendingWrite, error) {
	return prepareByWriting(ctx, held, v.write, v.erase)
}

func (v *keyringVault) write(ctx context.Context, text []byte) error {
	return v.do(ctx, func() error { return keyring.Set(keyringService, v.item, string(text)) })
}

func (v *keyringVault) erase(ctx context.Context) error {
	err := v.do(ctx, func() error { return keyring.Delete(keyringService, v.item) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

func (v *keyringVault) isAtomic() bool { return true }

func (v *keyringVault) whenIdle(f func()) {
	go func() {
		v.running.Wait()
		f()
	}()
}

// do runs an operation, which cannot be canceled, and gives it up after the timeout.
func (v *keyringVault) do(ctx context.Context, operation func() error) error {
	if err := keyringExists(); err != nil {
		return keyringError(err)
	}
	done := make(chan error, 1)
	v.running.Go(func() { done <- operation() })
	timer := time.NewTimer(v.timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, keyring.ErrNotFound) {
			err = keyringError(err)
		}
		return err
	case <-timer.C:
		return keyringError(fmt.Errorf("no answer in %s: is it locked?", v.timeout))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keyringExists refuses to start a message bus for the keyring, as the library would: nothing would
// unlock the keyring on it.
func keyringExists() error {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" || os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join("/run/user", fmt.Sprint(os.Getuid()), "bus")); err == nil {
		return nil
	}
	return errors.New("this log-in has no D-Bus session bus (DBUS_SESSION_BUS_ADDRESS is not set)")
}

func keyringError(err error) error {
	failed := &exitError{exit: exitFailure, code: "credential_store", err: fmt.Errorf("the system keyring cannot be used: %w", err)}
	return withHint(failed, "unlock the keyring and try again", "kizo login --credential-store file (a file that only you can read)")
}
