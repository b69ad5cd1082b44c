package api

import (
	"bytes"
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

const replayedHeader = "Idempotency-Replayed"

// request is what a handler needs to know about a request beyond its parameters and its body. It is
// a value of the context, because the generated handlers receive nothing else.
type request struct {
	principal auth.Principal
	trace     trace.Context
	token     string // the access token or API key of the principal
	client    auth.Client
	signature string // of a callback of the bank
	body      []byte // of a callback of the bank, as it was sent and signed
}

// onDevice returns the client of the request, with a device token that came in the body.
func (r *request) onDevice(deviceToken string) auth.Client {
	client := r.client
	client.DeviceToken = deviceToken
	return client
}

type requestKey struct{}

// noRequest is what requestOf returns before authenticate.
var noRequest request

// requestOf returns the request of the context, or the zero value before authenticate. Callers must
// not change it.
func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &noRequest
}

// userID returns the id of the user that sent the request, or the zero id for an anonymous request.
func userID(ctx context.Context) auth.UserID { return requestOf(ctx).principal.UserID }

const (
	requestIDLocal = "request_id"
	traceLocal     = "trace"
)

func requestID(c *fiber.Ctx) string {
	id, _ := c.Locals(requestIDLocal).(string)
	return id
}

func traceOf(c *fiber.Ctx) trace.Context {
	t, _ := c.Locals(traceLocal).(trace.Context)
	return t
}

// identify gives each request an id and a trace.
func identify(c *fiber.Ctx) error {
	assignIDs(c)
	return c.Next()
}

// assignIDs takes the request's id from the caller if it is a valid one, and makes the request a
// span of the caller's trace. Otherwise the id and the trace are new.
func assignIDs(c *fiber.Ctx) {
	id := c.Get(fiber.HeaderXRequestID)
	if !plainID(id) {
		id = uuid.NewString()
	}
	c.Locals(requestIDLocal, id)
	c.Set(fiber.HeaderXRequestID, id)
	t := trace.New()
	if sent := c.Request().Header.PeekAll(trace.Header); len(sent) == 1 { // several are ignored
		if parent, ok := trace.Parse(string(sent[0])); ok {
			t = parent.Child()
		}
	}
	c.Locals(traceLocal, t)
}

// plainID reports whether an id has 1 to 64 characters, all of them ASCII letters, digits, - or _.
func plainID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

const signatureHeader = "Kizo-Bank-Signature"

// setDeadline gives a request a deadline, so that it ends even if the database does not answer, and
// keeps caches from storing its answer.
func (a *API) setDeadline(c *fiber.Ctx) error {
	timeout := a.timeout
	if operationOf(c).hashesPassword {
		timeout = auth.HashRequestTimeout
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), timeout)
	defer cancel()
	c.SetUserContext(ctx)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Next()
}

// authenticate identifies the caller by the access token, whose session must be open, or by an API
// key. The bank is identified later, by its signature of the body.
func (a *API) authenticate(c *fiber.Ctx) error {
	r := &request{trace: traceOf(c), client: auth.Client{UserAgent: c.Get(fiber.HeaderUserAgent), Address: a.clientAddress(c)}}
	op := operationOf(c)
	if op.access == forTheBank {
		r.signature = c.Get(signatureHeader)
		// c.Body() would decompress the body, but the signature is of the bytes that were sent.
		r.body = bytes.Clone(c.Request().Body())
	}
	if op.access.needsToken() {
		var err error
		if r.principal, r.token, err = a.verify(c.UserContext(), c.Get(fiber.HeaderAuthorization)); err != nil {
			return err
		}
		if err := a.auth.UseAPIKey(c.UserContext(), r.principal, r.client); err != nil {
			return err
		}
	}
	c.SetUserContext(context.WithValue(c.UserContext(), requestKey{}, r))
	return c.Next()
}

// verify returns the user of an Authorization header, and its token.
func (a *API) verify(ctx context.Context, authorization string) (auth.Principal, string, error) {
	token, ok := bearer(authorization)
	if !ok {
		return auth.Principal{}, "", reject(openapi.Unauthenticated, "", "log in first, and send the access token, or an API key, as Authorization: Bearer")
	}
	principal, err := a.verifyToken(ctx, token)
	return principal, token, err
}

// verifyToken returns the user of an access token or of an API key.
func (a *API) verifyToken(ctx context.Context, token string) (auth.Principal, error) {
	if apikey.Is(token) {
		return a.auth.VerifyAPIKey(ctx, token)
	}
	return a.auth.Verify(ctx, token)
}

// bearer returns the token of an Authorization header.
func bearer(header string) (token string, ok bool) {
	const scheme = "bearer "
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return header[len(scheme):], true
}

const keyHeader = "Idempotency-Key"

// checkKey rejects a request that moves money without an idempotency key, before its parameters and
// its body are checked.
func checkKey(c *fiber.Ctx) error {
	if !operationOf(c).movesMoney {
		return c.Next()
	}
	switch keys := c.Request().Header.PeekAll(keyHeader); {
	case len(keys) > 1:
		return reject(openapi.IdempotencyKeyMalformed, keyHeader, "send one Idempotency-Key header, not several")
	case len(keys) == 0 || len(keys[0]) == 0:
		return reject(openapi.IdempotencyKeyMissing, keyHeader,
			"send an Idempotency-Key header, such as a new UUID, so that a retry does not pay twice")
	}
	return c.Next()
}

// checkParameters rejects parameters that the generated code would reject too, with a message for
// people that names the parameter.
func checkParameters(c *fiber.Ctx) error {
	if id := c.Params("id"); id != "" {
		if _, err := uuid.Parse(id); err != nil {
			return reject(openapi.ParameterMalformed, "id", "the id must be a UUID, such as 0190a0b0-1234-7abc-8def-0123456789ab")
		}
	}
	query, err := url.ParseQuery(string(c.Request().URI().QueryString()))
	if err != nil {
		return reject(openapi.ParameterMalformed, "", "the part of the address after ? is malformed: write % as %25 and + as %2B")
	}
	for name, values := range query {
		for _, value := range values {
			if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
				return reject(openapi.ParameterMalformed, plainName(name), "a parameter is UTF-8 text without control characters")
			}
			if _, err := strconv.ParseInt(value, 10, 32); name == "limit" && err != nil {
				return reject(openapi.ParameterMalformed, "limit", "limit is a whole number from 1 to 100")
			}
		}
	}
	return c.Next()
}

// plainName returns a parameter's name if it can be one of the contract, else "", so that the
// answer does not repeat arbitrary text of the caller.
func plainName(name string) string {
	if !plainID(name) {
		return ""
	}
	return name
}

// key parses an Idempotency-Key, either bare or as the quoted string of
// draft-ietf-httpapi-idempotency-key-header.
func key(header string) (string, error) {
	k := header
	if len(k) >= 2 && k[0] == '"' && k[len(k)-1] == '"' {
		k = k[1 : len(k)-1]
	}
	if err := ledger.CheckKey(k); err != nil {
		return "", err
	}
	return k, nil
}

const maxWait = 30 * time.Second

// preferredWait parses `wait=5` of a Prefer header (RFC 7240); it returns 0 if there is none.
func preferredWait(header *string) (time.Duration, error) {
	if header == nil {
		return 0, nil
	}
	for preference := range strings.SplitSeq(*header, ",") {
		preference, _, _ = strings.Cut(preference, ";") // its parameters; wait has none
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
		if err != nil {
			return 0, reject(openapi.ParameterMalformed, "Prefer", "wait takes a whole number of seconds, as in Prefer: wait=5")
		}
		return min(time.Duration(seconds)*time.Second, maxWait), nil // does not overflow: 31 bits of seconds
	}
	return 0, nil
}

// parseTime parses an RFC 3339 time of a query parameter. It returns the zero time if the parameter
// is absent.
func parseTime(name string, text *string) (time.Time, error) {
	if text == nil || *text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return time.Time{}, reject(openapi.ParameterMalformed, name, "write the time as RFC 3339, such as 2026-01-31T12:00:00Z")
	}
	// The zero time would mean that the parameter is absent, and JSON has no years beyond 9999.
	if year := t.UTC().Year(); year < 1970 || year > 9999 {
		return time.Time{}, reject(openapi.ParameterMalformed, name, "write a time from 1970 to 9999, such as 2026-01-31T12:00:00Z")
	}
	return t.UTC(), nil
}
