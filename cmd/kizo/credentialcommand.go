package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/JDevAman/kizo/internal/printable"
)

const (
	// helperTimeout is how long the credential command may take, including what it asks the user.
	helperTimeout = 10 * time.Second

	maxHelperOutput = 64 << 10 // bytes of stdout
	maxHelperErrors = 4 << 10  // bytes of stderr, of which the last line is shown
)

// helperRequest is what the credential command gets on stdin.
type helperRequest struct {
	Version int    `json:"version"` // 1
	Key     string `json:"key"`     // under which the secret is kept, such as "kizo/default/kizo.example-0a1b2c3d"
	Context string `json:"context"`
	Server  string `json:"server"`
	Secret  string `json:"secret,omitempty"` // of store: one line
}

// helperAnswer is what get prints. Without a secret, the object is empty.
type helperAnswer struct {
	Secret string `json:"secret"`
}

// commandVault keeps a session with a command of the user's, such as a wrapper of a password
// manager. The command gets get, store or erase as its last argument, and never a secret in one.
type commandVault struct {
	command []string
	request helperRequest // without a secret
	timeout time.Duration // of one run
}

func (v *commandVault) String() string { return "the credential command " + v.command[0] }

func (v *commandVault) read(ctx context.Context) ([]byte, error) {
	out, err := v.run(ctx, "get", "")
	if err != nil {
		return nil, err
	}
	var answer helperAnswer
	if len(bytes.TrimSpace(out)) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(out, &answer); err != nil { // the error would quote the output
		return nil, v.failure("get", errors.New("its output is not a JSON object with a secret"))
	}
	if answer.Secret == "" {
		return nil, nil
	}
	return []byte(answer.Secret), nil
}

// prepare stores what is there already, which fails if the password manager is locked.
func (v *commandVault) prepare(ctx context.Context, held []byte) (pendingWrite, error) {
	return prepareByWriting(ctx, held, v.write, v.erase)
}

func (v *commandVault) write(ctx context.Context, text []byte) error {
	_, err := v.run(ctx, "store", string(text))
	return err
}

func (v *commandVault) erase(ctx context.Context) error {
	_, err := v.run(ctx, "erase", "")
	return err
}

// isAtomic is false: a shell script truncates a file before it writes it.
func (v *commandVault) isAtomic() bool { return false }

func (v *commandVault) whenIdle(f func()) { f() }

// run runs the command and returns its stdout.
func (v *commandVault) run(ctx context.Context, action, secret string) ([]byte, error) {
	request := v.request
	request.Secret = secret
	in, err := json.Marshal(request) //nolint:gosec // the secret is for the stdin of the command
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	command := exec.CommandContext(limited, v.command[0], append(slices.Clone(v.command[1:]), action)...)
	command.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(credentialVariables, name)
	})
	command.WaitDelay = time.Second // a process that it left behind may keep the pipes open
	var out, messages boundedBuffer
	out.max, messages.max = maxHelperOutput, maxHelperErrors
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(append(in, '\n')), &out, &messages
	err = command.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, v.failure(action, fmt.Errorf("no answer in %s", v.timeout))
	case out.lost:
		return nil, v.failure(action, fmt.Errorf("it printed more than %d bytes", maxHelperOutput))
	case err != nil:
		return nil, v.failure(action, fmt.Errorf("%w%s", err, lastMessage(messages.Bytes(), secret)))
	}
	return out.Bytes(), nil
}

func (v *commandVault) failure(action string, err error) error {
	failed := &exitError{exit: exitFailure, code: "credential_store", err: fmt.Errorf("%s %s failed: %w", v, action, err)}
	return withHint(failed, "kizo help credentials", "kizo login --credential-store file (a file that only you can read)")
}

// lastMessage returns the last line of what the command printed on stderr, unless it may repeat a
// secret.
func lastMessage(messages []byte, secret string) string {
	lines := strings.Split(strings.TrimSpace(string(messages)), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	var session storedSession
	_ = json.Unmarshal([]byte(secret), &session)
	for _, token := range []string{secret, session.AccessToken, session.RefreshToken} {
		if token != "" && strings.Contains(last, token) {
			return ""
		}
	}
	if last == "" {
		return ""
	}
	return ": " + printable.Text(last)
}

// boundedBuffer keeps the first bytes that are written, and refuses the rest.
type boundedBuffer struct {
	bytes.Buffer
	max  int
	lost bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		b.lost = true
		return 0, errors.New("too much output")
	}
	return b.Buffer.Write(p)
}

// prepareByWriting writes what a vault holds already, to learn that it can be written.
func prepareByWriting(ctx context.Context, held []byte, write func(context.Context, []byte) error, erase func(context.Context) error) (pendingWrite, error) {
	w := &provenWrite{write: write, erase: erase, wasEmpty: held == nil}
	if w.wasEmpty {
		held = []byte("{}") // no session
	}
	if err := write(ctx, held); err != nil {
		return nil, err
	}
	return w, nil
}

// provenWrite is the right to write to a vault that was written a moment ago.
type provenWrite struct {
	write     func(context.Context, []byte) error
	erase     func(context.Context) error
	wasEmpty  bool
	committed bool
}

// commit tries twice: what it stores cannot be requested again.
func (w *provenWrite) commit(ctx context.Context, text []byte) error {
	w.committed = true
	err := w.write(ctx, text)
	if err != nil {
		err = w.write(ctx, text)
	}
	return err
}

// release removes what prepareByWriting has written to an empty vault.
func (w *provenWrite) release() {
	if w.wasEmpty && !w.committed {
		_ = w.erase(context.Background())
	}
}
