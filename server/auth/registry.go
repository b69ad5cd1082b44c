package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/JDevAman/kizo/server/pgerr"
)

// keyName identifies a signing key or a pepper.
type keyName struct{ kind, id string }

// Kinds of keys.
const (
	KindPepper     = "pepper"
	KindSigningKey = "signing_key"
)

func (k keyName) String() string { return strings.ReplaceAll(k.kind, "_", " ") + " " + k.id }

// stored is the form in the columns of kizod_processes.
func (k keyName) stored() string { return k.kind + ":" + k.id }

// keyState is the state of a key in the database; see migrations/0003_identity.sql.
type keyState string

const (
	statePrepared keyState = "prepared"
	stateActive   keyState = "active"
	stateRetired  keyState = "retired"
	stateRemoved  keyState = "removed"
)

// heldKey is a key in the secrets file.
type heldKey struct {
	keyName
	check []byte
	first bool // the first of its kind, which signs or hashes
}

// recordedKey is a key in the database.
type recordedKey struct {
	keyName
	check  []byte
	state  keyState
	usedAt *time.Time // when a process last reported that it signs or hashes with it
}

// held returns the signing keys and peppers of s.
func (s Secrets) held() ([]heldKey, error) {
	keys, err := s.Keys()
	if err != nil {
		return nil, err
	}
	var held []heldKey
	for i, seed := range s.SigningKeys {
		name := keyName{KindSigningKey, keys.ids[i]}
		held = append(held, heldKey{name, checkValue(name, seed), i == 0})
	}
	for i, p := range s.PepperKeys {
		name := keyName{KindPepper, p.ID}
		held = append(held, heldKey{name, checkValue(name, p.Key), i == 0})
	}
	return held, nil
}

// checkValue returns a value that shows whether two secrets are equal, and reveals nothing
// else about them.
func checkValue(name keyName, secret Secret) []byte {
	mac := hmac.New(sha256.New, secret.Reveal())
	mac.Write([]byte("kizo secrets check 1\x00" + name.kind + "\x00" + name.id))
	return mac.Sum(nil)
}

func names(held []heldKey, want func(heldKey) bool) []string {
	list := []string{} // not nil: the columns are NOT NULL
	for _, k := range held {
		if want(k) {
			list = append(list, k.stored())
		}
	}
	return list
}

func everyKey(heldKey) bool { return true }
func inUse(k heldKey) bool  { return k.first }

// MismatchError reports why a secrets file does not match the database, and what the operator
// can do.
type MismatchError struct{ Problems, Fixes []string }

func (e *MismatchError) Error() string {
	text := "the secrets file does not fit the database: " + strings.Join(e.Problems, "; ")
	if len(e.Fixes) > 0 {
		text += "; " + strings.Join(e.Fixes, "; ")
	}
	return text
}

func (e *MismatchError) add(problem, fix string) {
	e.Problems = append(e.Problems, problem)
	if !slices.Contains(e.Fixes, fix) {
		e.Fixes = append(e.Fixes, fix)
	}
}

const (
	fixCopy     = "copy the file from a host that runs kizod on this database"
	fixActivate = "run `kizod secrets activate`"
	fixRecord   = "if this is the newest file and the database was restored to an earlier moment, run `kizod secrets record`"
)

// compareKeys returns a [MismatchError] if a process with the held keys could not verify what
// other processes sign and hash, or other processes could not verify what it signs and
// hashes. notes are harmless differences.
func compareKeys(held []heldKey, recorded []recordedKey) (notes []string, err error) {
	wrong := &MismatchError{}
	for _, r := range recorded {
		h := findHeld(held, r.keyName)
		switch {
		case h != nil && !bytes.Equal(h.check, r.check):
			wrong.add(r.String()+" has another value in the file than the one that the database records", fixCopy)
		case h == nil && (r.state == stateActive || r.state == stateRetired):
			wrong.add(fmt.Sprintf("%s is missing (the database records it as %s)", r, r.state), fixCopy)
		case h == nil && r.state == statePrepared:
			notes = append(notes, r.String()+" is prepared in the database and missing in the file: copy the newer file before it is activated")
		}
	}
	for _, h := range held {
		r := findRecorded(recorded, h.keyName)
		switch {
		case r == nil && h.first:
			wrong.add(h.String()+" is the first in the file and unknown to the database", fixRecord)
		case r == nil:
			notes = append(notes, h.String()+" is in the file and unknown to the database")
		case h.first && r.state == statePrepared:
			wrong.add(h.String()+" is the first in the file but only prepared", fixActivate)
		case h.first && r.state == stateRemoved:
			wrong.add(h.String()+" is the first in the file but has been removed", fixCopy)
		case h.first && r.state == stateRetired:
			notes = append(notes, h.String()+" is the first in the file but has been replaced: copy the newer file and reload")
		}
	}
	if len(wrong.Problems) > 0 {
		return notes, wrong
	}
	return notes, nil
}

func findHeld(held []heldKey, name keyName) *heldKey {
	if i := slices.IndexFunc(held, func(k heldKey) bool { return k.keyName == name }); i >= 0 {
		return &held[i]
	}
	return nil
}

func findRecorded(recorded []recordedKey, name keyName) *recordedKey {
	if i := slices.IndexFunc(recorded, func(k recordedKey) bool { return k.keyName == name }); i >= 0 {
		return &recorded[i]
	}
	return nil
}

// Process is a running kizod, as `kizod secrets check` names it.
type Process struct {
	Name    string // host and process id
	Roles   string
	Version string
}

// Registry compares the secrets of a process with those that the database records, and reports
// which keys the process holds and uses. Safe for concurrent use.
type Registry struct {
	pool    *pgxpool.Pool
	process Process
	id      uuid.UUID
}

// NewRegistry returns the registry of a process.
func NewRegistry(pool *pgxpool.Pool, process Process) *Registry {
	return &Registry{pool: pool, process: process, id: newID()}
}

const (
	heartbeatEvery = 10 * time.Second
	// deleteAfter is the time without a report after which the row of a process is deleted.
	deleteAfter = 10 * time.Minute
)

const (
	// A process that checks secrets takes the lock in share mode; a process that changes keys
	// takes it exclusively. The timeouts limit how long a process that stalls inside its
	// transaction delays the others.
	sqlBoundTransaction = `SELECT set_config('lock_timeout', '5s', true), set_config('idle_in_transaction_session_timeout', '5s', true)`
	sqlShareSecretKeys  = `SELECT singleton FROM secret_keys_lock FOR SHARE`
	sqlLockSecretKeys   = `SELECT singleton FROM secret_keys_lock FOR UPDATE`
	sqlSecretKeys       = `SELECT kind, id, check_value, state, used_at FROM secret_keys ORDER BY kind, recorded_at, id`

	sqlRecordKey = `INSERT INTO secret_keys (kind, id, check_value, state) VALUES ($1, $2, $3, $4)`

	sqlRecordProcess = `
INSERT INTO kizod_processes (id, name, roles, version, held, used) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET held = EXCLUDED.held, used = EXCLUDED.used, seen_at = now()`

	// A key that this process used until now counts as used too. A locked row is skipped:
	// another process that uses the key is updating it.
	sqlRecordUse = `
WITH used AS (
    SELECT kind, id FROM secret_keys
     WHERE state <> 'removed' AND (kind || ':' || id = ANY($2)
        OR kind || ':' || id = ANY((SELECT used FROM kizod_processes WHERE id = $1)::text[]))
       FOR NO KEY UPDATE SKIP LOCKED)
UPDATE secret_keys k SET used_at = now() FROM used WHERE (k.kind, k.id) = (used.kind, used.id)`

	sqlForgetProcesses = `DELETE FROM kizod_processes WHERE seen_at < now() - make_interval(secs => $1)`
)

// Adopt compares secrets with the database and records that this process uses them. It is
// called at the start and at each reload. The first process of a new database records its
// keys there. If the error is a [MismatchError], the process must not use the secrets. notes
// are harmless differences, for the log.
func (r *Registry) Adopt(ctx context.Context, secrets Secrets) (notes []string, err error) {
	held, err := secrets.held()
	if err != nil {
		return nil, err
	}
	check := func(lock string) error {
		return pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
			recorded, err := lockSecretKeys(ctx, tx, lock)
			switch {
			case err != nil:
				return err
			case len(recorded) > 0:
			case lock == sqlShareSecretKeys:
				return errNothingRecorded
			default:
				if recorded, err = recordFirst(ctx, tx, held); err != nil {
					return err
				}
			}
			if notes, err = compareKeys(held, recorded); err != nil {
				return err
			}
			return r.report(ctx, tx, held)
		})
	}
	if err = check(sqlShareSecretKeys); errors.Is(err, errNothingRecorded) {
		err = check(sqlLockSecretKeys)
	}
	if pgerr.IsReadOnly(err) {
		return r.adoptReadOnly(ctx, held)
	}
	if err != nil {
		return nil, fmt.Errorf("check the secrets: %w", err)
	}
	return notes, nil
}

var errNothingRecorded = errors.New("the database records no secrets yet")

// adoptReadOnly compares the secrets of a process that starts while the database is read-only.
// A later heartbeat reports the process.
func (r *Registry) adoptReadOnly(ctx context.Context, held []heldKey) (notes []string, err error) {
	recorded, err := readSecretKeys(ctx, r.pool)
	if err == nil && len(recorded) == 0 {
		err = fmt.Errorf("%w, and is read-only", errNothingRecorded)
	}
	if err == nil {
		notes, err = compareKeys(held, recorded)
	}
	if err != nil {
		return nil, fmt.Errorf("check the secrets: %w", err)
	}
	return notes, nil
}

// report stores the row of this process.
func (r *Registry) report(ctx context.Context, tx pgx.Tx, held []heldKey) error {
	used := names(held, inUse)
	batch := &pgx.Batch{}
	batch.Queue(sqlRecordUse, r.id, used)
	batch.Queue(sqlRecordProcess, r.id, r.process.Name, r.process.Roles, r.process.Version, names(held, everyKey), used)
	batch.Queue(sqlForgetProcesses, deleteAfter.Seconds())
	return tx.SendBatch(ctx, batch).Close()
}

// Run reports the process every ten seconds until ctx ends, and then deletes its row. It calls
// secrets for the current secrets, and result after each report, with notes as those of
// [Registry.Adopt]. It returns nil.
func (r *Registry) Run(ctx context.Context, secrets func() Secrets, result func(notes []string, err error)) error {
	ticker := time.NewTicker(heartbeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = r.pool.Exec(ending, `DELETE FROM kizod_processes WHERE id = $1`, r.id) // otherwise another process deletes it after ten minutes
			return nil
		case <-ticker.C:
			notes, err := r.heartbeat(ctx, secrets())
			if ctx.Err() == nil {
				result(notes, err)
			}
		}
	}
}

// heartbeat reports the process, and compares its secrets with those that the database
// records now.
func (r *Registry) heartbeat(ctx context.Context, secrets Secrets) (notes []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	held, err := secrets.held()
	if err != nil {
		return nil, err
	}
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error { return r.report(ctx, tx, held) })
	if err != nil {
		return nil, fmt.Errorf("report this process: %w", err)
	}
	recorded, err := readSecretKeys(ctx, r.pool)
	if err != nil {
		return nil, fmt.Errorf("compare the secrets: %w", err)
	}
	return compareKeys(held, recorded)
}

// lockSecretKeys takes the lock until tx ends, in share mode or exclusively, and reads the keys.
func lockSecretKeys(ctx context.Context, tx pgx.Tx, lock string) ([]recordedKey, error) {
	for _, sql := range []string{sqlBoundTransaction, lock} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	return readSecretKeys(ctx, tx)
}

func readSecretKeys(ctx context.Context, db querier) ([]recordedKey, error) {
	rows, err := db.Query(ctx, sqlSecretKeys)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k recordedKey, err error) {
		err = row.Scan(&k.kind, &k.id, &k.check, &k.state, &k.usedAt)
		return k, err
	})
}

// recordFirst records the keys of the first process of a database. If there are users
// already, it must hold the peppers of their passwords.
func recordFirst(ctx context.Context, tx pgx.Tx, held []heldKey) (recorded []recordedKey, err error) {
	users, err := usersByPepper(ctx, tx)
	if err != nil {
		return nil, err
	}
	var problems []string
	for pepper, n := range users {
		if findHeld(held, keyName{KindPepper, pepper}) == nil {
			problems = append(problems, fmt.Sprintf("pepper %s is missing (the passwords of %d users are under it)", pepper, n))
		}
	}
	if len(problems) > 0 {
		slices.Sort(problems)
		return nil, &MismatchError{problems, []string{fixCopy}}
	}
	for _, k := range held {
		state := stateRetired
		if k.first {
			state = stateActive
		}
		if _, err := tx.Exec(ctx, sqlRecordKey, k.kind, k.id, k.check, state); err != nil {
			return nil, err
		}
		recorded = append(recorded, recordedKey{keyName: k.keyName, check: k.check, state: state})
	}
	// An older version may have used any of them until now.
	_, err = tx.Exec(ctx, `UPDATE secret_keys SET used_at = now()`)
	return recorded, err
}

// usersByPepper counts the users whose password is under each pepper. Closed users have none.
func usersByPepper(ctx context.Context, db querier) (map[string]int64, error) {
	rows, err := db.Query(ctx, `SELECT pepper_id, count(*) FROM users WHERE status <> 'closed' GROUP BY pepper_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	users := map[string]int64{}
	for rows.Next() {
		var id string
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		users[id] = n
	}
	return users, rows.Err()
}

// NeededKeys returns the names of the signing keys and peppers that a secrets file for this
// database must contain; none for a new database.
func NeededKeys(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	recorded, err := readSecretKeys(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("read which secrets the database needs: %w", err)
	}
	var needed []string
	for _, k := range recorded {
		if k.state == stateActive || k.state == stateRetired {
			needed = append(needed, k.String())
		}
	}
	if len(recorded) > 0 {
		return needed, nil
	}
	users, err := usersByPepper(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("read which secrets the database needs: %w", err)
	}
	for id := range users {
		needed = append(needed, keyName{KindPepper, id}.String())
	}
	slices.SortFunc(needed, cmp.Compare[string])
	return needed, nil
}
