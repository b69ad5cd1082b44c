package api

import (
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/auth"
)

// logRefusal logs a security event for a rejected request if operators need to see it: a missing
// permission, an invalid token or signature, a rate limit. Package auth logs rejected log-ins.
func (a *API) logRefusal(c *fiber.Ctx, p openapi.Problem, requestID string) {
	var event auth.SecurityEvent
	switch {
	case p.Code == openapi.RateLimited:
		event = auth.EventRateLimited
	case p.Code == openapi.TokenInvalid || p.Code == openapi.SignatureInvalid:
		event = auth.EventTokenRefused
	case p.Code == openapi.KeyNetworkRefused || p.Code == openapi.StepUpRequired: // package auth logs the one, and the other is a question
		return
	case p.Status == http.StatusForbidden && (operationOf(c).access != forAnonymous):
		event = auth.EventForbidden
	default:
		return
	}
	attrs := []slog.Attr{
		slog.String("code", string(p.Code)), slog.String("method", c.Method()), slog.String("route", c.Route().Path),
		slog.String("request_id", requestID), slog.String("address", auth.EventText(a.clientAddress(c))),
	}
	if who := requestOf(c.UserContext()).principal; !who.UserID.IsZero() {
		attrs = append(attrs, slog.String("user", who.Handle))
		if who.IsKey() {
			attrs = append(attrs, slog.String("key", who.KeyID.String()))
		}
	}
	a.auth.LogSecurityEvent(c.UserContext(), event, attrs...)
}
