package auth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/JDevAman/kizo/internal/testkit"
)

// host is a host with a secrets file and a kizod process, on a database that hosts share.
type host struct {
	h        *harness
	path     string
	rotation *Rotation
	registry *Registry
	service  *Service
}

func newHost(h *harness, name string) *host {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "secrets.json")
	return &host{
		h: h, path: path, rotation: NewRotation(h.pool, path), registry: testRegistry(h.pool, name), service: h.another(),
	}
}

// load is a start or a reload. It returns why the file was refused.
func (m *host) load() error {
	m.h.t.Helper()
	secrets, err := LoadSecrets(m.path)
	testkit.Must(m.h.t, err)
	if _, err := m.registry.Adopt(m.h.t.Context(), secrets); err != nil {
		return err
	}
	keys, err := secrets.Keys()
	testkit.Must(m.h.t, err)
	peppers, err := secrets.Peppers()
	testkit.Must(m.h.t, err)
	m.service.UseSecrets(keys, peppers)
	return nil
}

func (m *host) copyFrom(other *host) {
	m.h.t.Helper()
	text, err := os.ReadFile(other.path)
	testkit.Must(m.h.t, err)
	testkit.Must(m.h.t, os.WriteFile(m.path, text, 0o600))
}

// inUse returns the ids of the signing key and of the pepper that are the first ones of the file.
func (m *host) inUse() (signingKey, pepper string) {
	m.h.t.Helper()
	secrets, err := LoadSecrets(m.path)
	testkit.Must(m.h.t, err)
	return secrets.InUse()
}

func (m *host) logIn(who string) Tokens {
	m.h.t.Helper()
	tokens, _, err := m.service.LogIn(m.h.t.Context(), who, goodPassword, "", Client{})
	testkit.Must(m.h.t, err)
	return tokens
}

func wantUnsafe(t *testing.T, err error, want ...string) {
	t.Helper()
	if _, ok := errors.AsType[*UnsafeError](err); !ok {
		t.Errorf("not refused as unsafe: %v", err)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not contain %q", err, w)
		}
	}
}

// owner runs a statement as the owner of the tables, to make time pass.
func owner(h *harness, sql string) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.db.AdminURL)
	testkit.Must(h.t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(h.t.Context(), sql)
	testkit.Must(h.t, err)
}

// TestRotationOnTwoHosts: two hosts rotate while both are running. At no moment does one of them
// refuse what the other has signed or hashed.
func TestRotationOnTwoHosts(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a, b := newHost(h, "host a"), newHost(h, "host b")
	testkit.Must(t, CreateSecrets(a.path))
	b.copyFrom(a)
	testkit.Must(t, a.load())
	testkit.Must(t, b.load())
	ctx := t.Context()
	oldKey, oldPepper := a.inUse()
	for _, who := range []string{"alice", "bob"} {
		_, _, err := a.service.SignUp(ctx, SignUpInput{Email: who + "@example.com", Handle: who, Name: who, Password: goodPassword})
		testkit.Must(t, err)
	}
	bothAccept := func(when string) {
		t.Helper()
		for _, from := range []*host{a, b} {
			tokens := from.logIn("alice")
			for _, at := range []*host{a, b} {
				_, err := at.service.Verify(ctx, tokens.AccessToken)
				wantCode(t, err, "")
			}
		}
		if t.Failed() {
			t.Fatal(when)
		}
	}

	// No key can be removed or activated yet.
	_, err := a.rotation.Activate(ctx)
	if err == nil || !strings.Contains(err.Error(), "kizod secrets rotate") {
		t.Errorf("activate before rotate: %v", err)
	}
	_, _, err = a.rotation.Remove(ctx, oldPepper)
	wantUnsafe(t, err, "it is in use")

	prepared, err := a.rotation.Prepare(ctx, KindSigningKey, KindPepper)
	testkit.Must(t, err)
	again, err := a.rotation.Prepare(ctx, KindSigningKey, KindPepper)
	testkit.Must(t, err)
	testkit.Equal(t, "prepared again", strings.Join(again, ","), strings.Join(prepared, ","))
	if key, pepper := a.inUse(); key != oldKey || pepper != oldPepper {
		t.Fatal("a prepared key is in use")
	}
	testkit.Must(t, a.load())
	testkit.Must(t, b.load()) // its old file is still accepted
	bothAccept("host b does not have the prepared keys yet")

	_, err = a.rotation.Activate(ctx)
	wantUnsafe(t, err, "host b does not have pepper", "host b does not have signing key", "kill -HUP")
	b.copyFrom(a)
	testkit.Must(t, b.load())
	_, err = a.rotation.Activate(ctx)
	testkit.Must(t, err)
	newKey, newPepper := a.inUse()
	if newKey == oldKey || newPepper == oldPepper {
		t.Fatal("the old keys are still in use")
	}
	testkit.Must(t, a.load())
	bothAccept("host b still signs and hashes with the old keys")
	testkit.Must(t, b.load()) // a restart with the older file
	bothAccept("host b was restarted with the file of before the activation")

	// Keys that are still in use are kept: by host b, by bob, by tokens.
	_, _, err = a.rotation.Remove(ctx, oldKey)
	wantUnsafe(t, err, "host b still uses it")
	_, err = b.rotation.Activate(ctx) // instead of a copy
	testkit.Must(t, err)
	testkit.Must(t, b.load())
	bothAccept("both have the new keys")
	removed, kept, err := a.rotation.Remove(ctx)
	testkit.Must(t, err)
	if len(removed) > 0 || len(kept) != 2 || !strings.Contains(strings.Join(kept, ";"), "the passwords of 1 users") || !strings.Contains(strings.Join(kept, ";"), "valid for up to") {
		t.Errorf("removed %q, kept %q", removed, kept)
	}
	b.logIn("bob")
	owner(h, `UPDATE secret_keys SET used_at = used_at - interval '17 minutes'`)
	removed, kept, err = a.rotation.Remove(ctx)
	testkit.Must(t, err)
	if len(removed) != 2 || len(kept) != 0 {
		t.Errorf("removed %q, kept %q", removed, kept)
	}
	bothAccept("host b has the old file")
	testkit.Must(t, a.load())
	testkit.Must(t, b.load())
	removed, _, err = b.rotation.Remove(ctx)
	testkit.Must(t, err)
	testkit.Equal(t, "removed on host b as well", len(removed), 2)
	testkit.Must(t, b.load())
	bothAccept("at the end")
}

// TestRotationRefusesOldFiles: a host that returns with a file from before the activation, or from
// before the removal, does not start with a key that the other hosts do not have.
func TestRotationRefusesOldFiles(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a, b := newHost(h, "host a"), newHost(h, "host b")
	testkit.Must(t, CreateSecrets(a.path))
	b.copyFrom(a)
	testkit.Must(t, a.load())
	_, err := a.rotation.Prepare(t.Context(), KindPepper)
	testkit.Must(t, err)
	testkit.Must(t, a.load())
	_, err = a.rotation.Activate(t.Context())
	testkit.Must(t, err)
	testkit.Must(t, a.load())
	_, pepper := a.inUse()
	if said := mismatch(t, b.load()); !strings.Contains(said, "pepper "+pepper+" is missing") {
		t.Errorf("a file without the active pepper: %q", said)
	}
	_, old := b.inUse()
	b.copyFrom(a)
	_, _, err = a.rotation.Remove(t.Context(), old)
	testkit.Must(t, err)
	testkit.Must(t, a.load())
	file, err := readSecrets(b.path)
	testkit.Must(t, err)
	file.Peppers[0], file.Peppers[1] = file.Peppers[1], file.Peppers[0]
	testkit.Must(t, replaceSecrets(b.path, file))
	if said := mismatch(t, b.load()); !strings.Contains(said, "has been removed") {
		t.Errorf("a file with the removed pepper in use: %q", said)
	}
}

// TestRotationInterrupted: a rotation that is abandoned, and one that was interrupted after it
// wrote the file.
func TestRotationInterrupted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := newHost(h, "host a")
	testkit.Must(t, CreateSecrets(a.path))
	testkit.Must(t, a.load())
	_, old := a.inUse()
	prepared, err := a.rotation.Prepare(t.Context(), KindPepper)
	testkit.Must(t, err)
	id := strings.TrimPrefix(prepared[0], "pepper ")
	removed, _, err := a.rotation.Remove(t.Context(), id)
	testkit.Must(t, err)
	testkit.Equal(t, "removed after the abandoned rotation", strings.Join(removed, ","), prepared[0])

	file, err := readSecrets(a.path)
	testkit.Must(t, err)
	file.Peppers = append(file.Peppers, pepperFile{ID: "p-cut-short", Key: randomSecret().Reveal()})
	testkit.Must(t, replaceSecrets(a.path, file))
	prepared, err = a.rotation.Prepare(t.Context(), KindPepper)
	testkit.Must(t, err)
	testkit.Equal(t, "prepared after the interruption", strings.Join(prepared, ","), "pepper p-cut-short")
	testkit.Must(t, a.load())

	// The key is active in the database, and the file was not written.
	before, err := os.ReadFile(a.path)
	testkit.Must(t, err)
	_, err = a.rotation.Activate(t.Context())
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(a.path, before, 0o600))
	testkit.Must(t, a.load())
	if _, pepper := a.inUse(); pepper != old {
		t.Fatal("the file was written")
	}
	_, err = a.rotation.Activate(t.Context())
	testkit.Must(t, err)
	if _, pepper := a.inUse(); pepper != "p-cut-short" {
		t.Errorf("in use: %s", pepper)
	}
}

// TestRecordAfterRestore: after the database was restored to a time before a rotation, the keys of
// the newer file are recorded again.
func TestRecordAfterRestore(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := newHost(h, "host a")
	testkit.Must(t, CreateSecrets(a.path))
	testkit.Must(t, a.load())
	_, err := a.rotation.Prepare(t.Context(), KindSigningKey, KindPepper)
	testkit.Must(t, err)
	testkit.Must(t, a.load())
	_, err = a.rotation.Activate(t.Context())
	testkit.Must(t, err)
	owner(h, `DELETE FROM kizod_processes; DELETE FROM secret_keys WHERE state = 'active'; UPDATE secret_keys SET state = 'active'`)
	if said := mismatch(t, a.load()); !strings.Contains(said, "kizod secrets record") {
		t.Errorf("the newer file: %q", said)
	}
	changed, err := a.rotation.Record(t.Context())
	testkit.Must(t, err)
	testkit.Equal(t, "recorded", len(changed), 2)
	testkit.Must(t, a.load())
	changed, err = a.rotation.Record(t.Context())
	testkit.Must(t, err)
	testkit.Equal(t, "recorded again", len(changed), 0)
	status, err := a.rotation.Status(t.Context())
	testkit.Must(t, err)
	testkit.Equal(t, "keys", len(status.Keys), 4)
	testkit.Equal(t, "processes", len(status.Processes), 1)
}
