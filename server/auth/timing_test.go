package auth

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// timed is a request that must not tell whether its user exists: the kinds of it, and the code that
// each of them gets.
type timed struct {
	kinds []string
	call  func(kind string, i int) error
	want  problem.Code
}

// TestTimesTellNothing measures whether log-ins, resets and sign-ups take longer for a user that
// exists. It is a measurement and has no result: it prints medians, and the largest difference
// between the kinds of one request. KIZO_TIMING is the number of requests of each kind;
// KIZO_TIMING_PARAMS=real hashes with the parameters of production in place of cheap ones, beside
// which a difference is larger. Every request has a user and an address of its own, so that nothing
// is throttled, and the kinds take turns in random order.
func TestTimesTellNothing(t *testing.T) {
	var n int
	if _, err := fmt.Sscan(os.Getenv("KIZO_TIMING"), &n); err != nil {
		t.Skip("KIZO_TIMING is not set")
	}
	h := newHarness(t, func(c *Config) {
		if os.Getenv("KIZO_TIMING_PARAMS") == "real" {
			c.Params = DefaultArgon2Params()
		}
	})
	signer := h.another(func(c *Config) { c.Params = cheap })
	requests := h.timedRequests(t)
	for i := range n {
		_, _, err := signer.SignUp(t.Context(), h.signUpOf("known", i, "known"))
		testkit.Must(t, err)
	}
	// A user's stored hash must have the parameters of the service: log-ins would hash it again.
	_, err := h.owner().pool.Exec(t.Context(), `UPDATE users SET password_hash = $1, email_verified_at = created_at`, unusable(h))
	testkit.Must(t, err)
	_, err = h.owner().pool.Exec(t.Context(), `
INSERT INTO reset_codes (user_id, code_hash, created_at, expires_at) SELECT id, sha256('x'), $1::timestamptz, $1::timestamptz + interval '1 day' FROM users
 WHERE right(handle, 1) IN ('1', '3', '5', '7', '9')`, h.now())
	testkit.Must(t, err)
	_, err = h.owner().pool.Exec(t.Context(), `ANALYZE`)
	testkit.Must(t, err)
	for _, name := range []string{"log-in by handle", "log-in by e-mail address", "reset by handle", "reset by e-mail address", "sign-up"} {
		t.Run(name, func(t *testing.T) { h.measure(t, name, requests[name], n) })
	}
}

// unusable is a hash under the parameters of the service that no password has.
func unusable(h *harness) string {
	return phc{params: h.config.Params, salt: randomBytes(saltBytes), digest: randomBytes(digestBytes)}.String()
}

func (h *harness) signUpOf(prefix string, i int, email string) SignUpInput {
	return SignUpInput{
		Email: fmt.Sprintf("%s%d@example.com", email, i), Handle: fmt.Sprintf("%s%d", prefix, i), Name: "Somename", Password: goodPassword,
		Client: Client{Address: fmt.Sprintf("2001:db8:%x:%x::1", len(prefix), i)},
	}
}

func (h *harness) timedRequests(t *testing.T) map[string]timed {
	var next int
	client := func() Client {
		next++
		return Client{UserAgent: "kizo/1.0", Address: fmt.Sprintf("10.%d.%d.%d", next>>16, next>>8&255, next&255)}
	}
	logIn := func(suffix string) func(string, int) error {
		return func(kind string, i int) error {
			_, _, err := h.LogIn(t.Context(), fmt.Sprintf("%s%d%s", kind, i, suffix), wrongPassword, "", client())
			return err
		}
	}
	reset := func(suffix string) func(string, int) error {
		return func(kind string, i int) error {
			return h.ResetPassword(t.Context(), ResetPasswordInput{
				Login: fmt.Sprintf("%s%d%s", kind, i, suffix), Code: "AAAAA-AAAAA-AAAAA-AAAAA", New: "four other words here", Client: client(),
			})
		}
	}
	kinds := []string{"known", "other"}
	return map[string]timed{
		"log-in by handle":         {kinds, logIn(""), CodeInvalidCredentials},
		"log-in by e-mail address": {kinds, logIn("@example.com"), CodeInvalidCredentials},
		"reset by handle":          {kinds, reset(""), CodeResetCodeInvalid},
		"reset by e-mail address":  {kinds, reset("@example.com"), CodeResetCodeInvalid},
		"sign-up": {kinds, func(kind string, i int) error {
			_, _, err := h.SignUp(t.Context(), h.signUpOf("new"+kind, i, kind))
			return err
		}, ""},
	}
}

func (h *harness) measure(t *testing.T, name string, r timed, n int) {
	type one struct {
		kind string
		i    int
	}
	var order []one
	for _, kind := range r.kinds {
		for i := range n {
			order = append(order, one{kind, i})
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	times := map[string][]time.Duration{}
	for _, o := range order {
		began := time.Now()
		err := r.call(o.kind, o.i)
		took := time.Since(began)
		wantCode(t, err, r.want)
		times[o.kind] = append(times[o.kind], took)
	}
	var medians []time.Duration
	text := name + ":"
	for _, kind := range r.kinds {
		all := times[kind]
		slices.Sort(all)
		medians = append(medians, all[len(all)/2])
		text += fmt.Sprintf(" %s median %v p90 %v;", kind, all[len(all)/2].Round(time.Microsecond), all[len(all)*9/10].Round(time.Microsecond))
	}
	least, most := slices.Min(medians), slices.Max(medians)
	t.Logf("%s n = %d each, difference %v, %.1f %%", text, n, (most - least).Round(time.Microsecond), 100*float64(most-least)/float64(least))
}
