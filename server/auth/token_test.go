package auth

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/problem"
)

// forgery describes an access token that the test builds: a valid one, unless it is changed.
type forgery struct {
	method jwt.SigningMethod
	key    any
	header map[string]any
	claims jwt.MapClaims
}

func (h *harness) forge(tokens Tokens, user User, change func(*forgery)) string {
	h.t.Helper()
	now := h.clock.Now()
	f := &forgery{
		method: jwt.SigningMethodEdDSA,
		key:    h.signer,
		header: map[string]any{"typ": "at+jwt", "kid": h.config.Keys.KeyID()},
		claims: jwt.MapClaims{
			"iss": "kizo", "aud": "kizo", "sub": user.ID.String(), "sid": tokens.SessionID.String(),
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		},
	}
	change(f)
	token := jwt.NewWithClaims(f.method, f.claims)
	maps.Copy(token.Header, f.header)
	signed, err := token.SignedString(f.key)
	testkit.Must(h.t, err)
	return signed
}

func claim(name string, value any) func(*forgery) {
	return func(f *forgery) { f.claims[name] = value }
}

func header(name string, value any) func(*forgery) {
	return func(f *forgery) { f.header[name] = value }
}

func without(name string) func(*forgery) {
	return func(f *forgery) { delete(f.claims, name) }
}

// TestVerifyRefusesForgedTokens covers RFC 8725 and the security matrix: what an attacker may send
// as an access token.
func TestVerifyRefusesForgedTokens(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, user := h.signUp("alice")
	_, bob := h.signUp("bob")
	public := h.signer.Public().(ed25519.PublicKey)
	thief := testKey(66)
	thiefJWK := map[string]any{
		"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(thief.Public().(ed25519.PublicKey)),
	}
	byThief := func(name string, value any) func(*forgery) {
		return func(f *forgery) { f.key = thief; f.header[name] = value }
	}
	now := h.clock.Now()
	attacks := map[string]struct {
		change func(*forgery)
		code   problem.Code
	}{
		"untouched":            {func(*forgery) {}, ""},
		"alg none":             {func(f *forgery) { f.method, f.key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType }, CodeTokenInvalid},
		"HS256 of public key":  {func(f *forgery) { f.method, f.key = jwt.SigningMethodHS256, []byte(public) }, CodeTokenInvalid},
		"HS256 of JWKS":        {func(f *forgery) { f.method, f.key = jwt.SigningMethodHS256, h.JWKS() }, CodeTokenInvalid},
		"another's signature":  {func(f *forgery) { f.key = thief }, CodeTokenInvalid},
		"kid of another key":   {byThief("kid", Thumbprint(thief.Public().(ed25519.PublicKey))), CodeTokenInvalid},
		"kid missing":          {func(f *forgery) { delete(f.header, "kid") }, CodeTokenInvalid},
		"kid not text":         {header("kid", 1), CodeTokenInvalid},
		"kid traversal":        {header("kid", "../../../../dev/null"), CodeTokenInvalid},
		"kid SQL":              {header("kid", "' UNION SELECT 'x' --"), CodeTokenInvalid},
		"jwk of thief":         {byThief("jwk", thiefJWK), CodeTokenInvalid},
		"jku of thief":         {byThief("jku", "https://thief.example/jwks.json"), CodeTokenInvalid},
		"x5u of thief":         {byThief("x5u", "https://thief.example/cert.pem"), CodeTokenInvalid},
		"jku is not fetched":   {header("jku", "https://thief.example/jwks.json"), ""},
		"unknown crit":         {header("crit", []string{"b64"}), CodeTokenInvalid},
		"typ JWT":              {header("typ", "JWT"), CodeTokenInvalid},
		"typ refresh":          {header("typ", "rt+jwt"), CodeTokenInvalid},
		"wrong iss":            {claim("iss", "thief"), CodeTokenInvalid},
		"no iss":               {without("iss"), CodeTokenInvalid},
		"wrong aud":            {claim("aud", "elsewhere"), CodeTokenInvalid},
		"no aud":               {without("aud"), CodeTokenInvalid},
		"one of several aud":   {claim("aud", []string{"elsewhere", "kizo"}), ""},
		"expired":              {claim("exp", now.Add(-leeway).Unix()), CodeTokenExpired},
		"just within leeway":   {claim("exp", now.Add(-leeway+time.Second).Unix()), ""},
		"expired, wrong iss":   {func(f *forgery) { f.claims["iss"] = "x"; f.claims["exp"] = now.Unix() - 60 }, CodeTokenInvalid},
		"expired, by thief":    {func(f *forgery) { f.key = thief; f.claims["exp"] = now.Unix() - 60 }, CodeTokenInvalid},
		"no exp":               {without("exp"), CodeTokenInvalid},
		"exp as text":          {claim("exp", "never"), CodeTokenInvalid},
		"nbf in the future":    {claim("nbf", now.Add(time.Minute).Unix()), CodeTokenInvalid},
		"iat in the future":    {claim("iat", now.Add(time.Minute).Unix()), CodeTokenInvalid},
		"sub of another user":  {claim("sub", bob.ID.String()), CodeTokenInvalid},
		"sub SQL":              {claim("sub", "' OR 1=1 --"), CodeTokenInvalid},
		"no sid":               {without("sid"), CodeTokenInvalid},
		"session that is none": {claim("sid", unknownID.String()), CodeSessionRevoked},
		"role claimed":         {claim("role", "operator"), ""},
		"more than 4 KiB":      {claim("x", strings.Repeat("x", 4<<10)), CodeTokenInvalid},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			principal, err := h.Verify(t.Context(), h.forge(tokens, user, attack.change))
			wantCode(t, err, attack.code)
			if err == nil && (principal.UserID != user.ID || principal.Role != RoleUser) {
				t.Errorf("principal %+v", principal)
			}
		})
	}
}

func TestVerifyRefusesText(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("alice")
	parts := strings.Split(tokens.AccessToken, ".")
	flipped := []byte(parts[2])
	flipped[10] ^= 1
	for name, text := range map[string]string{
		"empty": "", "dots": "..", "many dots": strings.Repeat(".", 4000), "1 MB": strings.Repeat("A", 1<<20),
		"refresh token": tokens.RefreshToken, "no signature": parts[0] + "." + parts[1] + ".",
		"four parts": tokens.AccessToken + ".x", "padding": tokens.AccessToken + "=",
		"flipped signature": parts[0] + "." + parts[1] + "." + string(flipped),
		"line break":        tokens.AccessToken + "\n", "line break inside": parts[0] + ".\r" + parts[1] + "." + parts[2], "NUL": "\x00", "not UTF-8": "\xff.\xff.\xff",
	} {
		t.Run(name, func(t *testing.T) { testkit.Equal(t, "code", h.refusal(text), CodeTokenInvalid) })
	}
}

func FuzzParseToken(f *testing.F) {
	keys, err := NewKeys(testKey(1))
	if err != nil {
		f.Fatal(err)
	}
	parser := newTokens(keys, "kizo", "kizo", time.Now)
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parser.parse(text); err == nil {
			t.Fatalf("%q was accepted as %v", text, got)
		}
	})
}

func TestAccessTokenExpires(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	tokens, _ := h.signUp("alice")
	testkit.Equal(t, "life", tokens.ExpiresIn, 15*time.Minute)
	h.clock.Advance(15*time.Minute + leeway - time.Second)
	testkit.Equal(t, "at the end", h.refusal(tokens.AccessToken), "")
	h.clock.Advance(time.Second)
	testkit.Equal(t, "after it", h.refusal(tokens.AccessToken), CodeTokenExpired)
}

// TestSigningKeyRotation: two keys overlap. The new key signs and the old one still verifies. When
// the old key is removed, its tokens become invalid.
func TestSigningKeyRotation(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	before, _ := h.signUp("alice")
	next := testKey(2)
	both, err := NewKeys(next, h.signer.Public().(ed25519.PublicKey))
	testkit.Must(t, err)
	overlap := h.another(func(c *Config) { c.Keys = both })
	_, err = overlap.Verify(t.Context(), before.AccessToken)
	testkit.Must(t, err)
	after, _, err := overlap.LogIn(t.Context(), "alice", goodPassword, "", Client{})
	testkit.Must(t, err)
	testkit.Equal(t, "new token in a process with the old key", h.refusal(after.AccessToken), CodeTokenInvalid)

	alone, err := NewKeys(next)
	testkit.Must(t, err)
	later := h.another(func(c *Config) { c.Keys = alone })
	_, err = later.Verify(t.Context(), before.AccessToken)
	wantCode(t, err, CodeTokenInvalid)
	_, err = later.Verify(t.Context(), after.AccessToken)
	testkit.Must(t, err)

	var set struct{ Keys []map[string]string }
	testkit.Must(t, json.Unmarshal(both.JWKS(), &set))
	testkit.Equal(t, "keys in the set", len(set.Keys), 2)
	for _, key := range set.Keys {
		if key["d"] != "" || key["kty"] != "OKP" || key["crv"] != "Ed25519" || key["alg"] != "EdDSA" || key["use"] != "sig" {
			t.Errorf("key %v", key)
		}
	}
	testkit.Equal(t, "first kid", set.Keys[0]["kid"], both.KeyID())
}

// TestThumbprintVector uses the example of RFC 8037, appendix A.3.
func TestThumbprintVector(t *testing.T) {
	t.Parallel()
	public, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	testkit.Must(t, err)
	testkit.Equal(t, "kid", Thumbprint(public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
}
