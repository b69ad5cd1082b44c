package api

import (
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// logRefusal writes a security event for a refusal that an operator wants to know of:
// what its user may not do, a token or signature that is not good, a limit. Refused
// log-ins are written by auth.
func (a *API) logRefusal(c *fiber.Ctx, p openapi.Problem, requestID string) {
	var event auth.SecurityEvent
	switch {
	case p.Code == openapi.RateLimited:
		event = auth.EventRateLimited
	case p.Code == openapi.TokenInvalid || p.Code == openapi.SignatureInvalid:
		event = auth.EventTokenRefused
	case p.Status == http.StatusForbidden && !operationOf(c).hashesPassword:
		event = auth.EventForbidden
	default:
		return
	}
	attrs := []slog.Attr{
		slog.String("code", string(p.Code)), slog.String("method", c.Method()), slog.String("route", c.Route().Path),
		slog.String("request_id", requestID), slog.String("address", auth.EventText(a.clientAddress(c))),
	}
	if who := from(c.UserContext()).principal; who.UserID != uuid.Nil {
		attrs = append(attrs, slog.String("user", who.Handle))
	}
	a.auth.LogSecurityEvent(c.UserContext(), event, attrs...)
}
