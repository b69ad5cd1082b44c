package auth

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	accessLife = 15 * time.Minute // of an access token: the default of Config.AccessTTL, which kizod does not change
	// tokenMargin is added to accessLife, because of the time between two reports and the
	// differences between clocks.
	tokenMargin = time.Minute
)

// Remove removes the keys with these ids from the secrets file and records them as removed;
// without ids, all retired keys. kept says why keys were not removed. If one of ids cannot be
// removed safely, the error is an [UnsafeError] and nothing is changed.
func (r *Rotation) Remove(ctx context.Context, ids ...string) (removed, kept []string, err error) {
	file, err := r.run(ctx, func(s *step) error {
		for _, id := range ids {
			if !slices.ContainsFunc(s.recorded, func(k recordedKey) bool { return k.id == id }) {
				return fmt.Errorf("the database records no key %q: `kizod secrets check` lists them", id)
			}
		}
		for i := range s.recorded {
			k := &s.recorded[i]
			if len(ids) > 0 && !slices.Contains(ids, k.id) || len(ids) == 0 && k.state != stateRetired && k.state != stateRemoved {
				continue
			}
			reason, err := s.whyKeep(ctx, k)
			if err != nil {
				return err
			}
			if reason != "" {
				kept = append(kept, fmt.Sprintf("%s is kept: %s", k, reason))
				continue
			}
			if k.state != stateRemoved {
				if err := s.setState(ctx, k, stateRemoved); err != nil {
					return err
				}
			}
			if s.drop(k.keyName) {
				removed = append(removed, k.String())
			}
		}
		if len(ids) > 0 && len(kept) > 0 {
			return &UnsafeError{kept}
		}
		return nil
	})
	if err != nil {
		return nil, kept, err
	}
	if err := replaceSecrets(r.path, file); err != nil {
		return removed, kept, fmt.Errorf("%w; the database has them removed: run `kizod secrets remove` again", err)
	}
	return removed, kept, nil
}

// drop removes a key from the file. It reports whether the key was there.
func (s *step) drop(name keyName) bool {
	h := findHeld(s.held, name)
	if h == nil {
		return false
	}
	if name.kind == KindPepper {
		s.file.Peppers = slices.DeleteFunc(s.file.Peppers, func(p pepperFile) bool { return p.ID == name.id })
		return true
	}
	s.file.SigningKeys = slices.DeleteFunc(s.file.SigningKeys, func(seed []byte) bool {
		return bytes.Equal(checkValue(name, NewSecret(seed)), h.check)
	})
	return true
}

// whyKeep returns why a key may not be removed, or "". It locks the row of a pepper, so that
// no further password is stored under it meanwhile.
func (s *step) whyKeep(ctx context.Context, k *recordedKey) (string, error) {
	switch k.state {
	case stateActive:
		return "it is in use; `kizod secrets rotate` replaces it", nil
	case stateRemoved:
		return "", nil
	case statePrepared, stateRetired:
	}
	processes, err := running(ctx, s.tx)
	if err != nil {
		return "", err
	}
	for _, p := range processes {
		if slices.Contains(p.Used, k.stored()) {
			return fmt.Sprintf("kizod on %s still uses it: copy the newer file there and reload it (kill -HUP)", p.Name), nil
		}
	}
	if k.kind == KindSigningKey {
		return s.tokensOf(ctx, k)
	}
	var users int64
	if _, err := s.tx.Exec(ctx, `SELECT FROM secret_keys WHERE kind = $1 AND id = $2 FOR UPDATE`, k.kind, k.id); err != nil {
		return "", fmt.Errorf("lock %s: %w", k, err)
	}
	if err := s.tx.QueryRow(ctx, `SELECT count(*) FROM users WHERE pepper_id = $1 AND status <> 'closed'`, k.id).Scan(&users); err != nil {
		return "", fmt.Errorf("count the users who need %s: %w", k, err)
	}
	var factors int64
	if err := s.tx.QueryRow(ctx, `SELECT count(*) FROM second_factors WHERE pepper_id = $1`, k.id).Scan(&factors); err != nil {
		return "", fmt.Errorf("count the second factors that need %s: %w", k, err)
	}
	if factors > 0 {
		return fmt.Sprintf("%d second factors are under it; each comes under the new one when its user uses it", factors), nil
	}
	if users > 0 {
		return fmt.Sprintf("the passwords of %d users are under it; each comes under the new one when its user signs in", users), nil
	}
	return "", nil
}

// tokensOf returns why a signing key may not be removed, or "": tokens that it has signed may
// still be valid.
func (s *step) tokensOf(ctx context.Context, k *recordedKey) (string, error) {
	if k.usedAt == nil {
		return "", nil
	}
	var now time.Time
	if err := s.tx.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return "", fmt.Errorf("read the time of the database: %w", err)
	}
	if until := k.usedAt.Add(accessLife + tokenMargin); now.Before(until) {
		return fmt.Sprintf("tokens that it signed are valid for up to %v more", until.Sub(now).Round(time.Second)), nil
	}
	return "", nil
}
