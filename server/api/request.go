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

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

const replayedHeader = "Idempotency-Replayed"

// request is what the generated signatures have no room for: who asks, from where.
// It travels in the context because strict handlers get nothing else.
type request struct {
	principal auth.Principal
	trace     trace.Context
	token     string // what the principal was known by
	client    auth.Client
	signature string // of the bank's callback, and
	body      []byte // what it signs, byte for byte
}

type requestKey struct{}

func from(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

// user is who asks. It is only called behind authenticate.
func user(ctx context.Context) uuid.UUID { return from(ctx).principal.UserID }

const (
	requestIDLocal = "request_id"
	traceLocal     = "trace"
)

func requestID(c *fiber.Ctx) string {
	id, _ := c.Locals(requestIDLocal).(string)
	return id
}

func traceOf(c *fiber.Ctx) trace.Context {
	named, _ := c.Locals(traceLocal).(trace.Context)
	return named
}

// identify gives each request an id, the caller's if it is a plain one, and a step in
// the caller's trace, or in a new one.
func identify(c *fiber.Ctx) error {
	nameRequest(c)
	return c.Next()
}

func nameRequest(c *fiber.Ctx) {
	id := c.Get(fiber.HeaderXRequestID)
	if !plainID(id) {
		id = uuid.NewString()
	}
	c.Locals(requestIDLocal, id)
	c.Set(fiber.HeaderXRequestID, id)
	named := trace.New()
	if sent := c.Request().Header.PeekAll(trace.Header); len(sent) == 1 { // of several, none is believed
		if theirs, ok := trace.Parse(string(sent[0])); ok {
			named = theirs.Child()
		}
	}
	c.Locals(traceLocal, named)
}

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

// authenticate identifies the caller by the access token, whose session must be open. The bank is
// identified later, by its signature of the body.
func (a *API) authenticate(c *fiber.Ctx) error {
	r := request{trace: traceOf(c), client: auth.Client{UserAgent: c.Get(fiber.HeaderUserAgent), Address: a.clientAddress(c)}}
	op := operationOf(c)
	if op.access == forTheBank {
		r.signature = c.Get(signatureHeader)
		// c.Body() would decompress the body, but the signature is of the bytes that were sent.
		r.body = bytes.Clone(c.Request().Body())
	}
	if op.access.needsToken() {
		token, ok := bearer(c.Get(fiber.HeaderAuthorization))
		if !ok {
			return faultf(openapi.Unauthenticated, "", "log in first, and send the access token as Authorization: Bearer")
		}
		principal, err := a.auth.Verify(c.UserContext(), token)
		if err != nil {
			return err
		}
		r.principal, r.token = principal, token
	}
	c.SetUserContext(context.WithValue(c.UserContext(), requestKey{}, r))
	return c.Next()
}

func bearer(header string) (token string, ok bool) {
	const scheme = "bearer "
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return header[len(scheme):], true
}

const keyHeader = "Idempotency-Key"

// checkKey refuses to move money without a key, before anything else is said
// about the request.
func checkKey(c *fiber.Ctx) error {
	if !operationOf(c).movesMoney {
		return c.Next()
	}
	switch keys := c.Request().Header.PeekAll(keyHeader); {
	case len(keys) > 1:
		return faultf(openapi.IdempotencyKeyMalformed, keyHeader, "send one Idempotency-Key header, not several")
	case len(keys) == 0 || len(keys[0]) == 0:
		return faultf(openapi.IdempotencyKeyMissing, keyHeader,
			"send an Idempotency-Key header, such as a new UUID, so that a retry cannot pay twice")
	}
	return c.Next()
}

// checkParameters refuses what the generated code would refuse too, but in words
// for people and naming the parameter.
func checkParameters(c *fiber.Ctx) error {
	if id := c.Params("id"); id != "" {
		if _, err := uuid.Parse(id); err != nil {
			return faultf(openapi.ParameterMalformed, "id", "the id must be a UUID, such as 0190a0b0-1234-7abc-8def-0123456789ab")
		}
	}
	query, err := url.ParseQuery(string(c.Request().URI().QueryString()))
	if err != nil {
		return faultf(openapi.ParameterMalformed, "", "the part of the address after ? is malformed: write % as %25 and + as %2B")
	}
	for name, values := range query {
		for _, value := range values {
			if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
				return faultf(openapi.ParameterMalformed, plainName(name), "a parameter is UTF-8 text without control characters")
			}
			if _, err := strconv.ParseInt(value, 10, 32); name == "limit" && err != nil {
				return faultf(openapi.ParameterMalformed, "limit", "limit is a whole number from 1 to 100")
			}
		}
	}
	return c.Next()
}

// plainName is a parameter's name if it can be one of ours; strangers' are not
// repeated.
func plainName(name string) string {
	if !plainID(name) {
		return ""
	}
	return name
}

// key reads an Idempotency-Key, bare or as the quoted string of the IETF's draft
// (draft-ietf-httpapi-idempotency-key-header).
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

// preferredWait reads `wait=5` from a Prefer header (RFC 7240); 0 if there is none.
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
			return 0, faultf(openapi.ParameterMalformed, "Prefer", "wait takes a whole number of seconds, as in Prefer: wait=5")
		}
		return min(time.Duration(seconds)*time.Second, maxWait), nil // 31 bits
	}
	return 0, nil
}

// moment reads an RFC 3339 time of a query parameter; the zero time if it is
// absent.
func moment(name string, text *string) (time.Time, error) {
	if text == nil || *text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		return time.Time{}, faultf(openapi.ParameterMalformed, name, "write the time as RFC 3339, such as 2026-01-31T12:00:00Z")
	}
	// Neither the zero time, which would mean now, nor one that JSON cannot hold.
	if year := t.UTC().Year(); year < 1970 || year > 9999 {
		return time.Time{}, faultf(openapi.ParameterMalformed, name, "write a time from 1970 to 9999, such as 2026-01-31T12:00:00Z")
	}
	return t.UTC(), nil
}
