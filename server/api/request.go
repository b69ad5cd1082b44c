package api

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/ledger"
)

const replayedHeader = "Idempotency-Replayed"

// request is what the generated signatures have no room for: who asks, from where.
// It travels in the context because strict handlers get nothing else.
type request struct {
	principal auth.Principal
	client    auth.Client
}

type requestKey struct{}

func from(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

// user is who asks. It is only called behind authenticate.
func user(ctx context.Context) uuid.UUID { return from(ctx).principal.UserID }

const requestIDLocal = "request_id"

func requestID(c *fiber.Ctx) string {
	id, _ := c.Locals(requestIDLocal).(string)
	return id
}

// identify gives each request an id: the caller's, if it is a plain one.
func identify(c *fiber.Ctx) error {
	id := c.Get(fiber.HeaderXRequestID)
	if !plainID(id) {
		id = uuid.NewString()
	}
	c.Locals(requestIDLocal, id)
	c.Set(fiber.HeaderXRequestID, id)
	return c.Next()
}

func plainID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// public are the operations that need no token; every other route does.
var public = map[string]bool{
	"POST /v1/auth/signup":  true,
	"POST /v1/auth/login":   true,
	"POST /v1/auth/refresh": true,
}

// authenticate finds out who asks, by the token and by the state of its session.
func (a *API) authenticate(c *fiber.Ctx, next fiber.Handler) error {
	r := request{client: auth.Client{UserAgent: c.Get(fiber.HeaderUserAgent), Address: c.IP()}}
	if !public[c.Method()+" "+c.Route().Path] {
		token, ok := bearer(c.Get(fiber.HeaderAuthorization))
		if !ok {
			return faultf(Unauthenticated, "", "log in first, and send the access token as Authorization: Bearer")
		}
		principal, err := a.auth.Verify(c.UserContext(), token)
		if err != nil {
			return err
		}
		r.principal = principal
	}
	c.SetUserContext(context.WithValue(c.UserContext(), requestKey{}, r))
	return next(c)
}

func bearer(header string) (token string, ok bool) {
	const scheme = "bearer "
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return header[len(scheme):], true
}

// needsKey are the operations that move money.
var needsKey = map[string]bool{
	"POST /v1/transfers":             true,
	"POST /v1/transfers/:id/capture": true,
	"POST /v1/transfers/:id/void":    true,
	"POST /v1/transfers/:id/reverse": true,
	"POST /v1/deposits":              true,
	"POST /v1/withdrawals":           true,
}

// checkKey refuses to move money without a key, before anything else is said
// about the request.
func checkKey(c *fiber.Ctx, next fiber.Handler) error {
	if needsKey[c.Method()+" "+c.Route().Path] && c.Get("Idempotency-Key") == "" {
		return faultf(IdempotencyKeyMissing, "Idempotency-Key",
			"send an Idempotency-Key header, such as a new UUID, so that a retry cannot pay twice")
	}
	return next(c)
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
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		if !strings.EqualFold(name, "wait") {
			continue
		}
		seconds, err := strconv.Atoi(strings.Trim(value, `"`))
		if err != nil || seconds < 0 {
			return 0, faultf(ParameterMalformed, "Prefer", "wait takes a whole number of seconds, as in Prefer: wait=5")
		}
		return min(time.Duration(seconds)*time.Second, maxWait), nil
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
		return time.Time{}, faultf(ParameterMalformed, name, "write the time as RFC 3339, such as 2026-01-31T12:00:00Z")
	}
	return t, nil
}

func isCode(err error, code ledger.Code) bool {
	e, ok := errors.AsType[*ledger.Error](err)
	return ok && e.Code == code
}
