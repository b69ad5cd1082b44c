package auth

import (
	"context"
	"fmt"
	"time"
)

// Record records the keys of a secrets file that is newer than the database, for example after
// a restore to an earlier time. The file must contain all keys that the database needs. Record
// returns the names of the keys that it has recorded or activated.
func (r *Rotation) Record(ctx context.Context) (changed []string, err error) {
	_, err = r.run(ctx, func(s *step) error {
		if len(s.recorded) == 0 {
			recorded, err := recordFirst(ctx, s.tx, s.held)
			for _, k := range recorded {
				changed = append(changed, k.String())
			}
			return err
		}
		var first []heldKey
		for _, h := range s.held {
			k := findRecorded(s.recorded, h.keyName)
			isNew := k == nil
			if isNew {
				if _, err := s.tx.Exec(ctx, sqlRecordKey, h.kind, h.id, h.check, statePrepared); err != nil {
					return fmt.Errorf("record %s: %w", h, err)
				}
				s.recorded = append(s.recorded, recordedKey{keyName: h.keyName, check: h.check, state: statePrepared})
				k = &s.recorded[len(s.recorded)-1]
			}
			if h.first && k.state == statePrepared {
				first = append(first, h)
			}
			if isNew || h.first && k.state == statePrepared {
				changed = append(changed, h.String())
			}
		}
		if err := s.allHold(ctx, first); err != nil {
			return err
		}
		for _, h := range first {
			if err := s.activate(ctx, h.keyName); err != nil {
				return err
			}
		}
		_, err := compareKeys(s.held, s.recorded)
		return err
	})
	return changed, err
}

// KeyStatus is the state of a key in the secrets file and in the database.
type KeyStatus struct {
	Kind, ID string
	File     string        // "first", "held" or "missing"
	Database string        // a state, or "unknown"
	Users    int64         // users whose password is under it; 0 for signing keys
	UsedAgo  time.Duration // since its last use; only valid if Used
	Used     bool
}

// SecretsStatus is the output of `kizod secrets check`.
type SecretsStatus struct {
	Keys      []KeyStatus
	Processes []RunningProcess
	Notes     []string
}

// Status compares the secrets file with the database. If a process could not start with the
// file, the error is a [MismatchError] and the status is complete.
func (r *Rotation) Status(ctx context.Context) (status SecretsStatus, err error) {
	file, err := readSecrets(r.path)
	if err != nil {
		return SecretsStatus{}, err
	}
	held, err := file.secrets().held()
	if err != nil {
		return SecretsStatus{}, err
	}
	recorded, err := readSecretKeys(ctx, r.pool)
	if err != nil {
		return SecretsStatus{}, fmt.Errorf("read the recorded secrets: %w", err)
	}
	users, err := usersByPepper(ctx, r.pool)
	if err != nil {
		return SecretsStatus{}, fmt.Errorf("count the users of each pepper: %w", err)
	}
	if status.Processes, err = running(ctx, r.pool); err != nil {
		return SecretsStatus{}, err
	}
	var now time.Time
	if err := r.pool.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return SecretsStatus{}, fmt.Errorf("read the time of the database: %w", err)
	}
	for _, k := range recorded {
		s := KeyStatus{Kind: k.kind, ID: k.id, File: "missing", Database: string(k.state)}
		if h := findHeld(held, k.keyName); h != nil {
			s.File = place(*h)
		}
		if k.kind == KindPepper {
			s.Users = users[k.id]
		}
		if k.usedAt != nil {
			s.Used, s.UsedAgo = true, max(now.Sub(*k.usedAt), 0)
		}
		status.Keys = append(status.Keys, s)
	}
	for _, h := range held {
		if findRecorded(recorded, h.keyName) == nil {
			status.Keys = append(status.Keys, KeyStatus{Kind: h.kind, ID: h.id, File: place(h), Database: "unknown"})
		}
	}
	status.Notes, err = compareKeys(held, recorded)
	return status, err
}

func place(h heldKey) string {
	if h.first {
		return "first"
	}
	return "held"
}
