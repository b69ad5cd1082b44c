package auth

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

const goodAddress = "192.0.2.7"

// createKey makes a key that may read and transfer, unless a change says otherwise.
func (h *harness) createKey(userID UserID, name string, changes ...func(*NewAPIKey)) (string, APIKey) {
	h.t.Helper()
	n := NewAPIKey{Name: name, Scopes: ScopeRead | ScopeTransfers, Password: goodPassword, Client: Client{UserAgent: "kizo/1.0", Address: goodAddress}}
	for _, change := range changes {
		change(&n)
	}
	secret, key, err := h.CreateAPIKey(h.t.Context(), userID, n)
	testkit.Must(h.t, err)
	return secret, key
}

// use verifies a key and uses it from an address, as the API does.
func (s *Service) use(ctx context.Context, secret, address string) (Principal, error) {
	p, err := s.VerifyAPIKey(ctx, secret)
	if err != nil {
		return Principal{}, err
	}
	return p, s.UseAPIKey(ctx, p, Client{Address: address})
}

func (h *harness) keyRefusal(secret string) problem.Code {
	h.t.Helper()
	_, err := h.use(h.t.Context(), secret, goodAddress)
	return code(h.t, err)
}

func TestAPIKeyLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, bob := h.signUp("bob")
	secret, key := h.createKey(alice.ID, "payroll")
	testkit.Equal(t, "life", key.ExpiresAt.Sub(key.CreatedAt), DefaultAPIKeyLife)
	testkit.Must(t, apikey.Check(secret))
	p, err := h.use(t.Context(), secret, goodAddress)
	testkit.Must(t, err)
	testkit.Equal(t, "user", p.UserID, alice.ID)
	testkit.Equal(t, "key", p.KeyID, key.ID)
	testkit.Equal(t, "session", p.SessionID, uuid.Nil)
	testkit.Equal(t, "scopes", p.Scopes, ScopeRead|ScopeTransfers)

	// Of one user, it is nothing to another.
	wantCode(t, h.RevokeAPIKey(t.Context(), bob.ID, key.ID, Client{}), CodeKeyNotFound)
	_, _, err = h.RotateAPIKey(t.Context(), bob.ID, key.ID, RotateAPIKeyInput{Password: goodPassword})
	wantCode(t, err, CodeKeyNotFound)
	theirs, err := h.APIKeys(t.Context(), bob.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "keys of bob", len(theirs), 0)

	h.clock.Advance(DefaultAPIKeyLife - time.Microsecond)
	testkit.Equal(t, "just before it expires", h.keyRefusal(secret), "")
	h.clock.Advance(time.Microsecond)
	testkit.Equal(t, "expired", h.keyRefusal(secret), CodeKeyExpired)

	// An expired key can be rotated, and revoked.
	second, key, err := h.RotateAPIKey(t.Context(), alice.ID, key.ID, RotateAPIKeyInput{Life: time.Hour, Overlap: time.Hour, Password: goodPassword})
	testkit.Must(t, err)
	testkit.Equal(t, "rotated", h.keyRefusal(second), "")
	testkit.Equal(t, "the expired secret", h.keyRefusal(secret), CodeKeyExpired)
	testkit.Equal(t, "overlap", key.OverlapEnds == nil, true)
	testkit.Must(t, h.RevokeAPIKey(t.Context(), alice.ID, key.ID, Client{}))
	testkit.Equal(t, "revoked", h.keyRefusal(second), CodeKeyRevoked)
	wantCode(t, h.RevokeAPIKey(t.Context(), alice.ID, key.ID, Client{}), CodeKeyNotFound)
	_, _, err = h.RotateAPIKey(t.Context(), alice.ID, key.ID, RotateAPIKeyInput{Password: goodPassword})
	wantCode(t, err, CodeKeyNotFound)
	testkit.Equal(t, "events", fmt.Sprint(slices.DeleteFunc(h.history(alice.ID), func(e string) bool { return e == "key_refused" })),
		"[signed_up key_created key_rotated key_revoked]")
}

func TestRotationKeepsTwoSecretsForTheOverlap(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	first, key := h.createKey(alice.ID, "payroll")
	rotate := func(overlap time.Duration) (string, APIKey) {
		secret, rotated, err := h.RotateAPIKey(t.Context(), alice.ID, key.ID, RotateAPIKeyInput{Overlap: overlap, Password: goodPassword})
		testkit.Must(t, err)
		return secret, rotated
	}
	h.clock.Advance(time.Hour)
	second, rotated := rotate(2 * time.Hour)
	testkit.Equal(t, "overlap ends", rotated.OverlapEnds.UTC(), h.now().Add(2*time.Hour))
	testkit.Equal(t, "expires", rotated.ExpiresAt.UTC(), h.now().Add(DefaultAPIKeyLife))
	testkit.Equal(t, "both", h.keyRefusal(first)+h.keyRefusal(second), "")
	h.clock.Advance(2 * time.Hour)
	testkit.Equal(t, "the first, after the overlap", h.keyRefusal(first), CodeKeyExpired)
	testkit.Equal(t, "the second", h.keyRefusal(second), "")

	// A third secret ends what is left of an overlap: never more than two.
	third, _ := rotate(MaxAPIKeyOverlap)
	fourth, _ := rotate(MaxAPIKeyOverlap)
	testkit.Equal(t, "the second of four", h.keyRefusal(second), CodeKeyExpired)
	testkit.Equal(t, "the newest two", h.keyRefusal(third)+h.keyRefusal(fourth), "")

	// Without an overlap, the earlier secrets end at once, in every process.
	other := h.another()
	_, err := other.use(t.Context(), fourth, goodAddress)
	testkit.Must(t, err)
	fifth, _ := rotate(0)
	for _, s := range []*Service{h.Service, other} {
		_, err = s.use(t.Context(), fourth, goodAddress)
		wantCode(t, err, CodeKeyExpired)
		_, err = s.use(t.Context(), fifth, goodAddress)
		testkit.Must(t, err)
	}
	// The overlap never prolongs a secret.
	short, key2 := h.createKey(alice.ID, "short", func(n *NewAPIKey) { n.Life = time.Minute })
	_, _, err = h.RotateAPIKey(t.Context(), alice.ID, key2.ID, RotateAPIKeyInput{Overlap: time.Hour, Password: goodPassword})
	testkit.Must(t, err)
	h.clock.Advance(time.Minute)
	testkit.Equal(t, "after its own life", h.keyRefusal(short), CodeKeyExpired)
}

func TestConcurrentRotationsLeaveOneCurrentSecret(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, key := h.createKey(alice.ID, "payroll")
	var (
		rotating sync.WaitGroup
		mu       sync.Mutex
		secrets  []string
	)
	for range accountRule.free { // more attempts at once are throttled
		rotating.Go(func() {
			secret, _, err := h.RotateAPIKey(t.Context(), alice.ID, key.ID, RotateAPIKeyInput{Overlap: time.Hour, Password: goodPassword})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			secrets = append(secrets, secret)
		})
	}
	rotating.Wait()
	valid := 0
	for _, secret := range secrets {
		if h.keyRefusal(secret) == "" {
			valid++
		}
	}
	testkit.Equal(t, "valid secrets", valid, 2)
}

// TestKeyNeedsPassword: a stolen session makes no credential that outlives it.
func TestKeyNeedsPassword(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, key := h.createKey(alice.ID, "payroll")
	for _, wrong := range []string{"", wrongPassword, strings.Repeat("x", MaxPasswordBytes+1)} {
		_, _, err := h.CreateAPIKey(t.Context(), alice.ID, NewAPIKey{Name: "thief", Scopes: AnyScope, Password: wrong})
		wantCode(t, err, CodeInvalidCredentials)
		_, _, err = h.RotateAPIKey(t.Context(), alice.ID, key.ID, RotateAPIKeyInput{Password: wrong})
		wantCode(t, err, CodeInvalidCredentials)
	}
	// Guessing here is throttled like guessing at the log-in, and counts there.
	var err error
	for range accountRule.free + 1 {
		_, _, err = h.CreateAPIKey(t.Context(), alice.ID, NewAPIKey{Name: "thief", Scopes: AnyScope, Password: wrongPassword})
	}
	wantCode(t, err, CodeTooManyAttempts)
	_, _, err = h.LogIn(t.Context(), "@alice", goodPassword, "", Client{})
	wantCode(t, err, CodeTooManyAttempts)
	keys, err := h.APIKeys(t.Context(), alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "keys", len(keys), 1)
}

func TestKeyRequestsAreChecked(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	h.createKey(alice.ID, "taken")
	_, revoked := h.createKey(alice.ID, "again")
	testkit.Must(t, h.RevokeAPIKey(t.Context(), alice.ID, revoked.ID, Client{}))
	h.createKey(alice.ID, "again") // the name of a revoked key is free
	for name, c := range map[string]struct {
		change func(*NewAPIKey)
		code   problem.Code
	}{
		"no name":          {func(n *NewAPIKey) { n.Name = "" }, CodeNameMalformed},
		"a control":        {func(n *NewAPIKey) { n.Name = "a\x1b[2J" }, CodeNameMalformed},
		"a line break":     {func(n *NewAPIKey) { n.Name = "a\n" }, CodeNameMalformed},
		"a flag":           {func(n *NewAPIKey) { n.Name = "-v" }, CodeNameMalformed},
		"too long":         {func(n *NewAPIKey) { n.Name = strings.Repeat("a", 61) }, CodeNameMalformed},
		"taken":            {func(n *NewAPIKey) { n.Name = "taken" }, CodeKeyNameTaken},
		"no scope":         {func(n *NewAPIKey) { n.Scopes = 0 }, CodeScopeUnknown},
		"an unknown scope": {func(n *NewAPIKey) { n.Scopes = 128 }, CodeScopeUnknown},
		"a negative life":  {func(n *NewAPIKey) { n.Life = -time.Hour }, CodeKeyLifeOutOfRange},
		"a life too long":  {func(n *NewAPIKey) { n.Life = MaxAPIKeyLife + time.Second }, CodeKeyLifeOutOfRange},
		"too many networks": {func(n *NewAPIKey) {
			n.Networks = slices.Repeat([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, 21)
		}, CodeNetworkMalformed},
	} {
		n := NewAPIKey{Name: "good", Scopes: ScopeRead, Password: goodPassword}
		c.change(&n)
		if _, _, err := h.CreateAPIKey(t.Context(), alice.ID, n); code(t, err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	for _, overlap := range []time.Duration{-1, MaxAPIKeyOverlap + 1} {
		_, _, err := h.RotateAPIKey(t.Context(), alice.ID, revoked.ID, RotateAPIKeyInput{Overlap: overlap, Password: goodPassword})
		wantCode(t, err, CodeKeyLifeOutOfRange)
	}
	for _, names := range [][]string{nil, {"read", "everything"}, {""}, {"READ"}} {
		_, err := ParseScopes(names)
		wantCode(t, err, CodeScopeUnknown)
	}
	all, err := ParseScopes(AnyScope.Names())
	testkit.Must(t, err)
	testkit.Equal(t, "all scopes", all, AnyScope)
}

func TestNumberOfKeysIsBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	h.asOwner(`INSERT INTO api_keys (id, user_id, name, scopes, created_at)
		SELECT gen_random_uuid(), id, 'k' || n, '{read}', now() FROM users, generate_series(1, 49) n`)
	var (
		creating sync.WaitGroup
		mu       sync.Mutex
		codes    = map[problem.Code]int{}
	)
	for i := range 4 {
		creating.Go(func() {
			_, _, err := h.CreateAPIKey(t.Context(), alice.ID, NewAPIKey{Name: fmt.Sprint("new", i), Scopes: ScopeRead, Password: goodPassword})
			mu.Lock()
			defer mu.Unlock()
			codes[problem.CodeOf(err)]++
		})
	}
	creating.Wait()
	testkit.Equal(t, "results", fmt.Sprint(codes), fmt.Sprint(map[problem.Code]int{"": 1, CodeTooManyKeys: 3}))
}

// TestMalformedKeysAreRefused: no text but the whole key is accepted, and none says why not.
func TestMalformedKeysAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, alice := h.signUp("alice")
	secret, _ := h.createKey(alice.ID, "payroll")
	for _, wrong := range []string{
		"", apikey.Prefix, secret[:len(secret)-1], secret + "0", strings.ToUpper(secret), " " + secret, apikey.New(),
		tokens.AccessToken, tokens.RefreshToken, strings.Repeat("x", 1<<20), secret + "\x00", "kizo_live_' OR true --",
	} {
		_, err := h.VerifyAPIKey(t.Context(), wrong)
		wantCode(t, err, CodeTokenInvalid)
		testkit.Equal(t, "message", strings.HasSuffix(err.Error(), "the API key is not valid") || strings.Contains(err.Error(), "the API key is not valid"), true)
	}
	_, err := h.Verify(t.Context(), secret) // a key is no access token
	wantCode(t, err, CodeTokenInvalid)
}

func TestKeyWorksFromItsNetworksOnly(t *testing.T) {
	t.Parallel()
	h, log := newTrailHouse(t)
	_, alice := h.signUp("alice")
	secret, key := h.createKey(alice.ID, "payroll", func(n *NewAPIKey) {
		n.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25"), netip.MustParsePrefix("2001:db8::/32")}
	})
	keys, err := h.APIKeys(t.Context(), alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "networks", fmt.Sprint(keys[0].Networks), "[192.0.2.0/25 2001:db8::/32]")
	for address, allowed := range map[string]bool{
		"192.0.2.0": true, "192.0.2.127": true, "::ffff:192.0.2.1": true, "2001:db8::1": true, "2001:db8::1%eth0": true,
		"192.0.2.128": false, "2001:db9::1": false, "::1": false, "": false, "nonsense": false, "192.0.2.1:80": false,
	} {
		_, err := h.use(t.Context(), secret, address)
		if want := map[bool]problem.Code{false: CodeKeyNetworkRefused}[allowed]; code(t, err) != want {
			t.Errorf("from %q: %v, want %q", address, err, want)
		}
	}
	// Its user sees it, once an hour, and operators see it in the log.
	h.keyUses.wait()
	refused := func() (n int) {
		for _, event := range h.history(alice.ID) {
			if event == string(EventKeyRefused) {
				n++
			}
		}
		return n
	}
	testkit.Equal(t, "recorded refusals", refused(), 1)
	h.clock.Advance(keyRefusalInterval)
	_, err = h.use(t.Context(), secret, "203.0.113.5")
	wantCode(t, err, CodeKeyNetworkRefused)
	h.keyUses.wait()
	testkit.Equal(t, "recorded refusals an hour later", refused(), 2)
	records, err := h.History(t.Context(), alice.ID, 1)
	testkit.Must(t, err)
	testkit.Equal(t, "record", records[0].Detail+" "+records[0].Address, "payroll: key_network_refused 203.0.113.5")
	lines := log.lines(t, EventKeyRefused)
	testkit.Equal(t, "logged key", lines[0]["key"], any(key.ID.String()))
	if strings.Contains(log.text.String(), secret) || strings.Contains(log.text.String(), goodPassword) {
		t.Error("the log contains a secret")
	}
}

func TestLastUseIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	secret, key := h.createKey(alice.ID, "payroll")
	lastUse := func() (string, time.Time) {
		h.keyUses.wait()
		keys, err := h.APIKeys(t.Context(), alice.ID)
		testkit.Must(t, err)
		if keys[0].LastUsedAt == nil {
			return "", time.Time{}
		}
		return keys[0].LastAddress, keys[0].LastUsedAt.UTC()
	}
	if _, at := lastUse(); !at.IsZero() {
		t.Errorf("last used at %v before the first use", at)
	}
	testkit.Equal(t, "first use", h.keyRefusal(secret), "")
	first := h.now()
	for _, later := range []time.Duration{0, keyUseInterval - time.Microsecond} {
		h.clock.Advance(later)
		_, err := h.use(t.Context(), secret, "192.0.2.99")
		testkit.Must(t, err)
		address, at := lastUse()
		testkit.Equal(t, "last use", fmt.Sprint(address, at), fmt.Sprint(goodAddress, first))
	}
	h.clock.Advance(time.Microsecond)
	_, err := h.use(t.Context(), secret, "192.0.2.99")
	testkit.Must(t, err)
	address, at := lastUse()
	testkit.Equal(t, "last use a minute later", fmt.Sprint(address, at), fmt.Sprint("192.0.2.99", first.Add(keyUseInterval)))
	// The use changes nothing that the session cache would have to forget.
	if _, kept := h.cache.keys.Get(key.ID); !kept {
		t.Error("the key is no longer cached")
	}
}

// TestKeyEndsInAllProcesses: when a change has returned in one process, another process, which has
// cached the key and renews its lease all the time, must not accept it.
func TestKeyEndsInAllProcesses(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*harness, APIKey, User) error{
		"revoke":                     func(h *harness, k APIKey, u User) error { return h.RevokeAPIKey(t.Context(), u.ID, k.ID, Client{}) },
		"revoke all, by an operator": func(h *harness, _ APIKey, u User) error { return h.RevokeAPIKeys(t.Context(), u.ID) },
		"suspend":                    func(h *harness, _ APIKey, u User) error { return h.Suspend(t.Context(), u.ID, "test") },
		"rotate without an overlap": func(h *harness, k APIKey, u User) error {
			_, _, err := h.RotateAPIKey(t.Context(), u.ID, k.ID, RotateAPIKeyInput{Password: goodPassword})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			_, user := h.signUp("ada")
			secret, key := h.createKey(user.ID, "payroll")
			other := h.another()
			stop, seen, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
			go func() {
				defer close(over)
				for first := true; ; first = false {
					_, _ = other.use(t.Context(), secret, goodAddress)
					if first {
						close(seen)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			<-seen
			testkit.Must(t, end(h, key, user))
			for _, service := range []*Service{h.Service, other} {
				if _, err := service.use(t.Context(), secret, goodAddress); err == nil {
					t.Error("a key that has ended is accepted")
				}
			}
			close(stop)
			<-over
		})
	}
}

// TestCachedKeyNeedsNoQuery: the pool is closed, so that any query would fail.
func TestCachedKeyNeedsNoQuery(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.Lease = time.Hour })
	h.cache.update()
	_, alice := h.signUp("alice")
	secret, key := h.createKey(alice.ID, "payroll")
	testkit.Equal(t, "first use", h.keyRefusal(secret), "")
	h.keyUses.wait()
	h.config.Pool.Close()
	p, err := h.use(t.Context(), secret, goodAddress)
	testkit.Must(t, err)
	testkit.Equal(t, "key", p.KeyID, key.ID)
}

func TestEndedSecretsArePruned(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, alice := h.signUp("alice")
	_, key := h.createKey(alice.ID, "payroll")
	h.asOwner(`ALTER TABLE api_key_secrets DISABLE TRIGGER api_key_secrets_life;
		UPDATE api_key_secrets SET created_at = clock_timestamp() - interval '90 days', expires_at = clock_timestamp() - interval '1 hour'`)
	h.clock.Advance(time.Since(h.clock.Now()))
	_, err := h.Prune(t.Context(), 10)
	testkit.Must(t, err)
	secrets := func() (n int) {
		testkit.Must(t, h.pool.QueryRow(t.Context(), `SELECT count(*) FROM api_key_secrets`).Scan(&n))
		return n
	}
	testkit.Equal(t, "secrets of a key that expired an hour ago", secrets(), 1)
	h.clock.Advance(keepExpired)
	_, err = h.Prune(t.Context(), 10)
	testkit.Must(t, err)
	testkit.Equal(t, "secrets a week later", secrets(), 0)
	keys, err := h.APIKeys(t.Context(), alice.ID)
	testkit.Must(t, err)
	testkit.Equal(t, "the key stays", keys[0].ID, key.ID)
}

// BenchmarkVerifyAPIKey is BenchmarkVerify with an API key in place of an access token.
func BenchmarkVerifyAPIKey(b *testing.B) {
	h := newHarness(b)
	_, alice := h.signUp("alice")
	secret, _ := h.createKey(alice.ID, "payroll")
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.use(b.Context(), secret, goodAddress); err != nil {
				b.Error(err)
			}
		}
	})
}
