package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/cache"
	"github.com/JDevAman/kizo/server/problem"
)

const (
	algorithm = "EdDSA"
	tokenType = "at+jwt" // RFC 9068: an access token, so no other JWT passes for one

	// maxTokenBytes bounds what is decoded for a stranger; ours have about 450.
	maxTokenBytes = 4 << 10

	// leeway forgives other machines' clocks; it also delays expiry by as much.
	leeway = 10 * time.Second
)

type claims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
}

// accessToken is what a token says once its signature and claims hold. That its
// session is still open is not in it.
type accessToken struct{ userID, sessionID uuid.UUID }

type tokens struct {
	keys     *Keys
	issuer   string
	audience string
	parser   *jwt.Parser
	now      func() time.Time
	verified *cache.Map[[sha256.Size]byte, verified] // by the digest of the whole token
}

// verified is what a token says whose signature and claims held once. They hold
// until it expires; a reload of the secrets begins with an empty cache.
type verified struct {
	accessToken
	expires time.Time
}

const maxVerified = 1 << 16 // tokens

func newTokens(keys *Keys, issuer, audience string, now func() time.Time) *tokens {
	return &tokens{keys: keys, issuer: issuer, audience: audience, now: now, verified: cache.New[[sha256.Size]byte, verified](maxVerified), parser: jwt.NewParser(
		jwt.WithValidMethods([]string{algorithm}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(now),
		jwt.WithStrictDecoding(),
	)}
}

func (t *tokens) sign(who accessToken, issued, expires time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			ID:        newID().String(),
			Issuer:    t.issuer,
			Audience:  jwt.ClaimStrings{t.audience},
			Subject:   who.userID.String(),
			IssuedAt:  jwt.NewNumericDate(issued),
			ExpiresAt: jwt.NewNumericDate(expires),
		},
		SessionID: who.sessionID.String(),
	})
	token.Header["typ"] = tokenType
	token.Header["kid"] = t.keys.kid
	signed, err := token.SignedString(t.keys.signer())
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return signed, nil
}

// parse checks everything about a token that needs no database.
func (t *tokens) parse(raw string) (accessToken, error) {
	if len(raw) > maxTokenBytes {
		return accessToken{}, errTokenInvalid(fmt.Errorf("token of %d bytes", len(raw)))
	}
	digest := sha256.Sum256([]byte(raw))
	if known, ok := t.verified.Get(digest); ok && t.now().Before(known.expires.Add(leeway)) {
		return known.accessToken, nil
	}
	if strings.ContainsAny(raw, "\r\n") { // encoding/base64 skips them, even when strict
		return accessToken{}, errTokenInvalid(errors.New("line break in a token"))
	}
	var stated claims
	if _, err := t.parser.ParseWithClaims(raw, &stated, t.key); err != nil {
		if onlyExpired(err) {
			return accessToken{}, &problem.Error{Code: CodeTokenExpired, Message: "the access token has expired", Cause: err}
		}
		return accessToken{}, errTokenInvalid(err)
	}
	user, err := uuid.Parse(stated.Subject)
	if err != nil {
		return accessToken{}, errTokenInvalid(err)
	}
	session, err := uuid.Parse(stated.SessionID)
	if err != nil {
		return accessToken{}, errTokenInvalid(err)
	}
	who := accessToken{userID: user, sessionID: session}
	t.verified.Put(digest, verified{who, stated.ExpiresAt.Time})
	return who, nil
}

// key chooses the key by kid from our own set and nowhere else: jku, jwk, x5u
// and x5c are never read. Each kid has one algorithm, which WithValidMethods
// has compared before this is called.
func (t *tokens) key(token *jwt.Token) (any, error) {
	if token.Header["typ"] != tokenType {
		return nil, errors.New("not an access token")
	}
	if _, critical := token.Header["crit"]; critical {
		return nil, errors.New("critical header that is not understood") // RFC 7515, 4.1.11
	}
	kid, _ := token.Header["kid"].(string)
	public, known := t.keys.known[kid]
	if !known {
		return nil, errors.New("unknown key id")
	}
	return public, nil
}

// onlyExpired tells a token of ours that is merely old: "refresh" is a helpful
// answer to that one, and to no other.
func onlyExpired(err error) bool {
	for _, worse := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenNotValidYet, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, worse) {
			return false
		}
	}
	return errors.Is(err, jwt.ErrTokenExpired)
}
