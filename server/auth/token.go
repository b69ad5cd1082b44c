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
	tokenType = "at+jwt" // RFC 9068: distinguishes access tokens from other JWTs

	// maxTokenBytes is the maximum length of a token that is decoded; those of Kizo have
	// about 450 bytes.
	maxTokenBytes = 4 << 10

	// leeway tolerates differences between clocks. It also delays expiry by as much.
	leeway = 10 * time.Second
)

// claims are the claims of an access token.
type claims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
}

// accessToken is the content of a token whose signature and claims are valid. Its session may
// have ended.
type accessToken struct {
	userID    UserID
	sessionID uuid.UUID
}

// tokens signs and verifies access tokens.
type tokens struct {
	keys     *Keys
	issuer   string
	audience string
	parser   *jwt.Parser
	now      func() time.Time
	verified *cache.Map[[sha256.Size]byte, verified] // key: digest of the whole token
}

// verified is the content of a token that was verified before. It is valid until the token
// expires; a reload of the secrets starts with an empty cache.
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

// sign returns a signed token.
func (t *tokens) sign(subject accessToken, issued, expires time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			ID:        newID().String(),
			Issuer:    t.issuer,
			Audience:  jwt.ClaimStrings{t.audience},
			Subject:   subject.userID.String(),
			IssuedAt:  jwt.NewNumericDate(issued),
			ExpiresAt: jwt.NewNumericDate(expires),
		},
		SessionID: subject.sessionID.String(),
	})
	token.Header["typ"] = tokenType
	token.Header["kid"] = t.keys.kid
	signed, err := token.SignedString(t.keys.signer())
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return signed, nil
}

// parse verifies a token as far as that needs no database.
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
	subject := accessToken{userID: UserID(user), sessionID: session}
	t.verified.Put(digest, verified{subject, stated.ExpiresAt.Time})
	return subject, nil
}

// key returns the public key for the kid of a token. It only uses the configured keys: jku,
// jwk, x5u and x5c are never read. Each kid has one algorithm, which WithValidMethods has
// compared before.
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

// onlyExpired reports whether a token is valid except that it has expired. Only then can the
// client solve the problem with a refresh.
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
