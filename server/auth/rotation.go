package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Rotation replaces signing keys and peppers while kizod runs on several hosts:
//
//	Prepare ──► copy the file, ──► Activate ──► copy the file, ──► Remove
//	            reload each                     reload each
//	new key in file:               new key signs and hashes        old key in no file
//	accepted, not used             the old one is accepted
//
// Each step changes the secrets file of this host and the state in the database, under a lock
// that a starting kizod takes in share mode. A step is refused if a running process could not
// verify what the others sign and hash. A step that was interrupted can be repeated.
type Rotation struct {
	pool *pgxpool.Pool
	path string // of the secrets file
}

// NewRotation returns the rotation of the secrets file at path.
func NewRotation(pool *pgxpool.Pool, path string) *Rotation { return &Rotation{pool, path} }

// UnsafeError reports why a step of a rotation would lock users out, or would leave a running
// process without a key that it needs.
type UnsafeError struct{ Reasons []string }

func (e *UnsafeError) Error() string { return strings.Join(e.Reasons, "; ") }

// runningFor is how long after its last report a process counts as running.
const runningFor = 45 * time.Second

// step is one transaction of a rotation.
type step struct {
	tx       pgx.Tx
	file     secretsFile
	held     []heldKey
	recorded []recordedKey
}

// run reads the file and the database under the lock, and calls change. The caller writes the
// changed file.
func (r *Rotation) run(ctx context.Context, change func(*step) error) (file secretsFile, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		s := &step{tx: tx}
		if s.recorded, err = lockSecretKeys(ctx, tx, sqlLockSecretKeys); err != nil {
			return fmt.Errorf("read the recorded secrets: %w", err)
		}
		if s.file, err = readSecrets(r.path); err != nil {
			return err
		}
		if s.held, err = s.file.secrets().held(); err != nil {
			return err
		}
		err := change(s)
		file = s.file
		return err
	})
	return file, err
}

// Prepare adds a new key of each kind to the secrets file and records it as prepared. A
// kind that has a prepared key already keeps that one. It returns the names of the
// prepared keys.
func (r *Rotation) Prepare(ctx context.Context, kinds ...string) (prepared []string, err error) {
	_, err = r.run(ctx, func(s *step) error {
		if len(s.recorded) == 0 {
			return errors.New("the database records no secrets yet: start `kizod serve` first")
		}
		if _, err := compareKeys(s.held, s.recorded); err != nil {
			return err
		}
		var added []heldKey
		for _, kind := range kinds {
			name, isNew, err := s.prepare(kind)
			if err != nil {
				return err
			}
			if isNew {
				added = append(added, name)
			}
			prepared = append(prepared, name.String())
		}
		// The file first: a key that only the database has could never be activated.
		if err := replaceSecrets(r.path, s.file); err != nil {
			return err
		}
		for _, k := range added {
			if _, err := s.tx.Exec(ctx, sqlRecordKey, k.kind, k.id, k.check, statePrepared); err != nil {
				return fmt.Errorf("record %s: %w", k, err)
			}
		}
		return nil
	})
	return prepared, err
}

// prepare returns the prepared key of a kind. isNew reports that it is not recorded yet.
func (s *step) prepare(kind string) (k heldKey, isNew bool, err error) {
	for _, r := range s.recorded {
		if r.kind != kind || r.state != statePrepared {
			continue
		}
		if h := findHeld(s.held, r.keyName); h != nil {
			return *h, false, nil
		}
		return heldKey{}, false, fmt.Errorf("%s is prepared, but not in this file: copy the file from the host where it was prepared, or run `kizod secrets remove %s`", r, r.id)
	}
	for _, h := range s.held { // added by a run that was interrupted before it recorded the key
		if h.kind == kind && findRecorded(s.recorded, h.keyName) == nil {
			return h, true, nil
		}
	}
	if kind == KindPepper {
		s.file.Peppers = append(s.file.Peppers, pepperFile{ID: newPepperID(), Key: randomSecret().Reveal()})
	} else {
		s.file.SigningKeys = append(s.file.SigningKeys, randomSecret().Reveal())
	}
	held, err := s.file.secrets().held()
	if err != nil {
		return heldKey{}, false, err
	}
	for _, h := range held {
		if findHeld(s.held, h.keyName) == nil {
			s.held = held
			return h, true, nil
		}
	}
	return heldKey{}, false, errors.New("the new key is not in the file")
}

// Activate makes the prepared keys the active ones, which sign and hash: in the database, and
// by moving them to the front of the secrets file. The error is an [UnsafeError] while a
// running process lacks one of them. If they are already active in the database, Activate
// only updates the file of this host.
func (r *Rotation) Activate(ctx context.Context) (active []string, err error) {
	file, err := r.run(ctx, func(s *step) error {
		var prepared []heldKey
		for _, k := range s.recorded {
			if h := findHeld(s.held, k.keyName); k.state == statePrepared && h != nil {
				prepared = append(prepared, *h)
			} else if k.state == statePrepared {
				return fmt.Errorf("%s is prepared, but not in this file: copy the file from the host where it was prepared", k)
			}
		}
		s.moveToFront(prepared)
		if err := s.allHold(ctx, prepared); err != nil {
			return err
		}
		for _, k := range prepared {
			if err := s.activate(ctx, k.keyName); err != nil {
				return err
			}
			active = append(active, k.String())
		}
		for _, k := range s.recorded { // activated by a run that was interrupted, or on another host
			if h := findHeld(s.held, k.keyName); k.state == stateActive && h != nil && !h.first && !hasKind(prepared, k.kind) {
				s.moveToFront([]heldKey{*h})
				active = append(active, h.String())
			}
		}
		if len(active) == 0 {
			return errors.New("nothing is prepared: `kizod secrets rotate` prepares new keys")
		}
		_, err := compareAfter(s)
		return err
	})
	if err != nil {
		return nil, err
	}
	// The database first: a file whose first key is only prepared would be refused.
	if err := replaceSecrets(r.path, file); err != nil {
		return active, fmt.Errorf("%w; the database has them active: run `kizod secrets activate` again", err)
	}
	return active, nil
}

// compareAfter compares the file and the state that result from a step.
func compareAfter(s *step) ([]string, error) {
	held, err := s.file.secrets().held()
	if err != nil {
		return nil, err
	}
	return compareKeys(held, s.recorded)
}

func hasKind(keys []heldKey, kind string) bool {
	return slices.ContainsFunc(keys, func(k heldKey) bool { return k.kind == kind })
}

const sqlSetState = `UPDATE secret_keys SET state = $3 WHERE kind = $1 AND id = $2`

// activate makes a key the active one of its kind, and retires the previous one.
func (s *step) activate(ctx context.Context, name keyName) error {
	for i, k := range s.recorded {
		if k.kind == name.kind && k.state == stateActive {
			if err := s.setState(ctx, &s.recorded[i], stateRetired); err != nil {
				return err
			}
		}
	}
	return s.setState(ctx, findRecorded(s.recorded, name), stateActive)
}

func (s *step) setState(ctx context.Context, k *recordedKey, state keyState) error {
	if _, err := s.tx.Exec(ctx, sqlSetState, k.kind, k.id, state); err != nil {
		return fmt.Errorf("record %s as %s: %w", k, state, err)
	}
	k.state = state
	return nil
}

// moveToFront makes these keys the first of their kind in the file.
func (s *step) moveToFront(keys []heldKey) {
	for _, k := range keys {
		at := 0 // among the keys of its kind
		for _, h := range s.held {
			if h.keyName == k.keyName {
				break
			}
			if h.kind == k.kind {
				at++
			}
		}
		if k.kind == KindPepper {
			p := s.file.Peppers[at]
			s.file.Peppers = slices.Insert(slices.Delete(s.file.Peppers, at, at+1), 0, p)
		} else {
			seed := s.file.SigningKeys[at]
			s.file.SigningKeys = slices.Insert(slices.Delete(s.file.SigningKeys, at, at+1), 0, seed)
		}
	}
}

// RunningProcess is a process that has reported within the last 45 s.
type RunningProcess struct {
	Process
	Seen       time.Duration // since its last report
	Held, Used []string      // kind:id
}

// Has reports whether the process holds a key.
func (p RunningProcess) Has(kind, id string) bool {
	return slices.Contains(p.Held, keyName{kind, id}.stored())
}

// running returns the processes that count as running.
func running(ctx context.Context, db querier) ([]RunningProcess, error) {
	rows, err := db.Query(ctx, `
SELECT name, roles, version, extract(epoch FROM now() - seen_at)::float8, held, used
  FROM kizod_processes WHERE seen_at > now() - make_interval(secs => $1) ORDER BY name`, runningFor.Seconds())
	if err != nil {
		return nil, fmt.Errorf("read the running processes: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p RunningProcess, err error) {
		var seconds float64
		err = row.Scan(&p.Name, &p.Roles, &p.Version, &seconds, &p.Held, &p.Used)
		p.Seen = time.Duration(max(seconds, 0) * float64(time.Second))
		return p, err
	})
}

// allHold returns an UnsafeError with the running processes that lack one of the keys.
func (s *step) allHold(ctx context.Context, keys []heldKey) error {
	processes, err := running(ctx, s.tx)
	if err != nil {
		return err
	}
	unsafe := &UnsafeError{}
	for _, p := range processes {
		for _, k := range keys {
			if !p.Has(k.kind, k.id) {
				unsafe.Reasons = append(unsafe.Reasons, fmt.Sprintf(
					"kizod on %s does not have %s: copy the file there and reload it (kill -HUP); a process that has ended no longer counts after %v", p.Name, k, runningFor))
			}
		}
	}
	if len(unsafe.Reasons) > 0 {
		return unsafe
	}
	return nil
}
