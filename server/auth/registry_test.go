package auth

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/embedded/pgtest"
)

// secretsOf returns secrets with a signing key for each byte and a pepper for each id. The first of
// each is in use.
func secretsOf(keys []byte, peppers ...string) Secrets {
	s := Secrets{BankCallback: randomSecret(), BankToken: randomSecret()}
	for _, n := range keys {
		s.SigningKeys = append(s.SigningKeys, NewSecret(testKey(n).Seed()))
	}
	for _, id := range peppers {
		s.PepperKeys = append(s.PepperKeys, testPepper(id))
	}
	return s
}

func kid(n byte) string {
	keys, err := NewKeys(testKey(n))
	if err != nil {
		panic(err)
	}
	return keys.KeyID()
}

func registryPool(t testing.TB, db *pgtest.Database) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), db.AppURL)
	testkit.Must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func testRegistry(pool *pgxpool.Pool, name string) *Registry {
	return NewRegistry(pool, Process{Name: name, Roles: "api", Version: "test"})
}

// mismatch returns the text of a MismatchError, or "" for nil. It fails the test on other errors.
func mismatch(t testing.TB, err error) string {
	t.Helper()
	if e, ok := errors.AsType[*MismatchError](err); ok {
		return e.Error()
	}
	testkit.Must(t, err)
	return ""
}

func TestCompareKeys(t *testing.T) {
	t.Parallel()
	pepper := func(id string, state keyState) recordedKey {
		name := keyName{KindPepper, id}
		return recordedKey{keyName: name, check: checkValue(name, testPepper(id).Key), state: state}
	}
	signs := recordedKey{keyName: keyName{KindSigningKey, kid(1)}, state: stateActive}
	signs.check = checkValue(signs.keyName, NewSecret(testKey(1).Seed()))
	changed := pepper("p1", stateActive)
	changed.check = bytes.Repeat([]byte{1}, 32)
	for name, c := range map[string]struct {
		held     []string // peppers in the file
		recorded []recordedKey
		problem  string // "" for none
		note     string
	}{
		"the same":                        {[]string{"p1"}, []recordedKey{pepper("p1", stateActive)}, "", ""},
		"old ones as well":                {[]string{"p2", "p1"}, []recordedKey{pepper("p1", stateRetired), pepper("p2", stateActive)}, "", ""},
		"another value":                   {[]string{"p1"}, []recordedKey{changed}, "pepper p1 has another value", ""},
		"the active one is missing":       {[]string{"p1"}, []recordedKey{pepper("p1", stateRetired), pepper("p2", stateActive)}, "pepper p2 is missing", ""},
		"a retired one is missing":        {[]string{"p2"}, []recordedKey{pepper("p1", stateRetired), pepper("p2", stateActive)}, "pepper p1 is missing", ""},
		"a prepared one is missing":       {[]string{"p1"}, []recordedKey{pepper("p1", stateActive), pepper("p2", statePrepared)}, "", "pepper p2 is prepared"},
		"prepared and held":               {[]string{"p1", "p2"}, []recordedKey{pepper("p1", stateActive), pepper("p2", statePrepared)}, "", ""},
		"prepared and in use":             {[]string{"p2", "p1"}, []recordedKey{pepper("p1", stateActive), pepper("p2", statePrepared)}, "kizod secrets activate", ""},
		"unknown and in use":              {[]string{"p3", "p1"}, []recordedKey{pepper("p1", stateActive)}, "pepper p3 is the first in the file and unknown", ""},
		"unknown and not in use":          {[]string{"p1", "p3"}, []recordedKey{pepper("p1", stateActive)}, "", "pepper p3 is in the file and unknown"},
		"retired and in use":              {[]string{"p1", "p2"}, []recordedKey{pepper("p1", stateRetired), pepper("p2", stateActive)}, "", "has been replaced"},
		"removed and in use":              {[]string{"p1", "p2"}, []recordedKey{pepper("p1", stateRemoved), pepper("p2", stateActive)}, "has been removed", ""},
		"removed and missing":             {[]string{"p2"}, []recordedKey{pepper("p1", stateRemoved), pepper("p2", stateActive)}, "", ""},
		"a pepper and a key of that name": {[]string{"p1"}, []recordedKey{pepper("p1", stateActive), {keyName: keyName{KindSigningKey, "p1"}, state: stateActive}}, "signing key p1 is missing", ""},
	} {
		held, err := secretsOf([]byte{1}, c.held...).held()
		testkit.Must(t, err)
		notes, err := compareKeys(held, append(c.recorded, signs))
		if said := mismatch(t, err); (said == "") != (c.problem == "") || !strings.Contains(said, c.problem) {
			t.Errorf("%s: %q, want %q", name, said, c.problem)
		}
		if said := strings.Join(notes, "; "); !strings.Contains(said, c.note) || c.note == "" && c.problem == "" && said != "" {
			t.Errorf("%s: notes %q, want %q", name, said, c.note)
		}
	}
}

// TestRegistryRefusesOtherSecrets: the first process records its keys; each later process must have
// the same keys, with the same values.
func TestRegistryRefusesOtherSecrets(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool := registryPool(t, db)
	first := secretsOf([]byte{1}, "p1")
	for range 2 {
		notes, err := testRegistry(pool, "first").Adopt(t.Context(), first)
		testkit.Must(t, err)
		testkit.Equal(t, "notes", len(notes), 0)
	}
	_, err := testRegistry(pool, "second").Adopt(t.Context(), secretsOf([]byte{2}, "p2"))
	said := mismatch(t, err)
	for _, want := range []string{"pepper p1 is missing", "signing key " + kid(1) + " is missing", "pepper p2", "signing key " + kid(2)} {
		if !strings.Contains(said, want) {
			t.Errorf("%q does not contain %q", said, want)
		}
	}
	other := secretsOf([]byte{1}, "p1")
	other.PepperKeys[0].Key = randomSecret()
	if _, err := testRegistry(pool, "third").Adopt(t.Context(), other); !strings.Contains(mismatch(t, err), "pepper p1 has another value") {
		t.Errorf("another value under the same id: %v", err)
	}
	needed, err := NeededKeys(t.Context(), pool)
	testkit.Must(t, err)
	if !slices.Equal(needed, []string{"pepper p1", "signing key " + kid(1)}) {
		t.Errorf("needed: %q", needed)
	}
	// The recorded values are no secrets.
	var rows string
	testkit.Must(t, pool.QueryRow(t.Context(), `SELECT string_agg(k::text, ' ') FROM secret_keys k`).Scan(&rows))
	for _, secret := range []Secret{first.SigningKeys[0], first.PepperKeys[0].Key} {
		if strings.Contains(rows, fmt.Sprintf("%x", secret.Reveal())) {
			t.Errorf("the table shows a secret: %s", rows)
		}
	}
}

// TestRegistryRaceOfFirstStarts: of processes that start concurrently on a new database with
// different files, one starts and the others are refused. With the same file, all start.
func TestRegistryRaceOfFirstStarts(t *testing.T) {
	t.Parallel()
	for name, secretsOfProcess := range map[string]func(i int) Secrets{
		"different files": func(i int) Secrets { return secretsOf([]byte{byte(i + 1)}, fmt.Sprint("p", i)) },
		"the same file":   func(int) Secrets { return secretsOf([]byte{1}, "p1") },
	} {
		pool := registryPool(t, pgtest.New(t))
		errs := make([]error, 8)
		var starting sync.WaitGroup
		for i := range errs {
			starting.Go(func() {
				_, errs[i] = testRegistry(pool, fmt.Sprint(i)).Adopt(t.Context(), secretsOfProcess(i))
			})
		}
		starting.Wait()
		started := 0
		for _, err := range errs {
			if mismatch(t, err) == "" {
				started++
			}
		}
		want := 1
		if name == "the same file" {
			want = len(errs)
		}
		testkit.Equal(t, name+": started", started, want)
		var active, processes int
		testkit.Must(t, pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'active'), (SELECT count(*) FROM kizod_processes) FROM secret_keys`).Scan(&active, &processes))
		testkit.Equal(t, name+": active keys", active, 2)
		testkit.Equal(t, name+": processes", processes, want)
	}
}

// TestRegistryOfDatabaseWithUsers: for a database that has users, the secrets file must contain the
// peppers of their passwords.
func TestRegistryOfDatabaseWithUsers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.signUp("alice")
	h.signUp("bob")
	needed, err := NeededKeys(t.Context(), h.pool)
	testkit.Must(t, err)
	if !slices.Equal(needed, []string{"pepper p1"}) {
		t.Errorf("needed: %q", needed)
	}
	_, err = testRegistry(h.pool, "new file").Adopt(t.Context(), secretsOf([]byte{1}, "p9"))
	if said := mismatch(t, err); !strings.Contains(said, "pepper p1 is missing (the passwords of 2 users are under it)") {
		t.Errorf("%q", said)
	}
	_, err = testRegistry(h.pool, "old file").Adopt(t.Context(), secretsOf([]byte{1}, "p2", "p1"))
	testkit.Must(t, err)
}

// TestRegistryOfReadOnlyDatabase: a process can start while the database is read-only, if the
// database has recorded the secrets in use.
func TestRegistryOfReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool := registryPool(t, db)
	config := pool.Config()
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	readOnlyPool, err := pgxpool.NewWithConfig(t.Context(), config)
	testkit.Must(t, err)
	t.Cleanup(readOnlyPool.Close)
	if _, err := testRegistry(readOnlyPool, "early").Adopt(t.Context(), secretsOf([]byte{1}, "p1")); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a new database that is read-only: %v", err)
	}
	_, err = testRegistry(pool, "first").Adopt(t.Context(), secretsOf([]byte{1}, "p1"))
	testkit.Must(t, err)
	_, err = testRegistry(readOnlyPool, "later").Adopt(t.Context(), secretsOf([]byte{1}, "p1"))
	testkit.Must(t, err)
	if _, err = testRegistry(readOnlyPool, "wrong").Adopt(t.Context(), secretsOf([]byte{1}, "p2")); mismatch(t, err) == "" {
		t.Error("other secrets are accepted while the database is read-only")
	}
}

// TestRegistryLockIsBounded: a process that stalls while it holds the lock delays other processes
// for seconds only.
func TestRegistryLockIsBounded(t *testing.T) {
	t.Parallel()
	pool := registryPool(t, pgtest.New(t))
	_, err := testRegistry(pool, "first").Adopt(t.Context(), secretsOf([]byte{1}, "p1"))
	testkit.Must(t, err)
	tx, err := pool.Begin(t.Context())
	testkit.Must(t, err)
	defer tx.Rollback(t.Context())
	_, err = lockSecretKeys(t.Context(), tx, sqlLockSecretKeys)
	testkit.Must(t, err)
	began := time.Now()
	_, err = testRegistry(pool, "second").Adopt(t.Context(), secretsOf([]byte{1}, "p1"))
	t.Logf("after %v: %v", time.Since(began).Round(time.Millisecond), err)
	if said := mismatch(t, ignoreLockTimeout(err)); said != "" || time.Since(began) > 30*time.Second {
		t.Errorf("after %v: %q", time.Since(began), said)
	}
}

func ignoreLockTimeout(err error) error {
	if err != nil && strings.Contains(err.Error(), "55P03") { // lock_not_available: it stopped waiting in time
		return nil
	}
	return err
}

// TestDatabaseRefusesRemovedPepper: a removed pepper stays removed, and no password can be stored
// under it.
func TestDatabaseRefusesRemovedPepper(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, err := testRegistry(h.pool, "first").Adopt(t.Context(), secretsOf([]byte{1}, "p2", "p1"))
	testkit.Must(t, err)
	_, err = h.pool.Exec(t.Context(), `UPDATE secret_keys SET state = 'removed' WHERE kind = 'pepper' AND id = 'p1'`)
	testkit.Must(t, err)
	_, _, err = h.SignUp(t.Context(), SignUpInput{Email: "late@example.com", Handle: "late", Name: "Late", Password: goodPassword})
	if err == nil || !strings.Contains(err.Error(), "pepper p1 has been removed") {
		t.Errorf("a password under a removed pepper: %v", err)
	}
	for what, sql := range map[string]string{
		"revive":                 `UPDATE secret_keys SET state = 'retired' WHERE id = 'p1'`,
		"delete":                 `DELETE FROM secret_keys`,
		"change the check value": `UPDATE secret_keys SET check_value = $$01234567890123456789012345678901$$`,
		"a second active one":    `UPDATE secret_keys SET state = 'active' WHERE kind = 'pepper' AND state <> 'removed'; INSERT INTO secret_keys (kind, id, check_value, state) SELECT kind, 'p3', check_value, 'active' FROM secret_keys WHERE id = 'p2'`,
	} {
		if _, err := h.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("the application's role may %s", what)
		}
	}
}

// TestUseSecrets: a reload replaces the keys of a running service. Tokens of keys that are still in
// the file stay valid, and tokens of removed keys become invalid, even if they were verified
// before.
func TestUseSecrets(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user := h.signUp("alice")
	testkit.Equal(t, "token of the first key", h.refusal(tokens.AccessToken), "")
	use := func(s Secrets) {
		keys, err := s.Keys()
		testkit.Must(t, err)
		peppers, err := s.Peppers()
		testkit.Must(t, err)
		h.UseSecrets(keys, peppers)
	}
	use(secretsOf([]byte{2, 1}, "p2", "p1"))
	testkit.Equal(t, "token of the first key, which is still in the file", h.refusal(tokens.AccessToken), "")
	renewed := h.logIn("alice")
	var pepper string
	h.scan("SELECT pepper_id FROM users WHERE id = $1", user.ID, &pepper)
	testkit.Equal(t, "pepper after a log-in", pepper, "p2")
	if !strings.Contains(string(h.JWKS()), kid(2)) {
		t.Errorf("the new key is not published: %s", h.JWKS())
	}
	use(secretsOf([]byte{2}, "p2"))
	testkit.Equal(t, "token of the removed first key", h.refusal(tokens.AccessToken), CodeTokenInvalid)
	testkit.Equal(t, "token of the second key", h.refusal(renewed.AccessToken), "")
	h.logIn("alice")
}
