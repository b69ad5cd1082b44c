package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/JDevAman/kizo/openapi"
)

// DeviceTokens keeps the device tokens of this machine. A device token opens nothing: the server
// recognizes a device by it, so that wrong passwords of others do not lock the user out there.
// A token that is lost costs nothing but that, so the methods return no errors.
type DeviceTokens interface {
	// DeviceToken returns the token of a user's earlier log-in; empty if there is none. login is an
	// e-mail address or a handle without the @; empty if the user is not known yet.
	DeviceToken(login string) string

	// KeepDeviceToken stores the token of a new device.
	KeepDeviceToken(user User, token string)
}

func (c *Client) deviceToken(login string) string {
	if c.devices == nil {
		return ""
	}
	return c.devices.DeviceToken(login)
}

func (c *Client) keepDeviceToken(tokens openapi.Tokens) {
	if c.devices != nil && tokens.DeviceToken != "" {
		c.devices.KeepDeviceToken(tokens.User, tokens.DeviceToken)
	}
}

// BeginDeviceLogin asks for the codes with which this device is logged in from another one (RFC
// 8628). It fails if the session could not be stored.
func (c *Client) BeginDeviceLogin(ctx context.Context) (DeviceLogin, error) {
	if err := c.tokens.Update(ctx, func(held Credentials) (Credentials, error) { return held, nil }); err != nil {
		return DeviceLogin{}, err
	}
	request, err := c.send(http.MethodPost, "/v1/auth/device", nil)
	if err != nil {
		return DeviceLogin{}, err
	}
	return fetch[DeviceLogin](ctx, c, operation{request: request, anonymous: true, repeat: unsentOnly})
}

// slowerBy is added to the interval between two polls after slow_down (RFC 8628, 3.5).
const slowerBy = 5 * time.Second

// AwaitDeviceLogin polls until a user has approved the request, and stores the tokens of the
// session. An error with the code AccessDenied or ExpiredToken is final. It goes on when the server
// does not answer, until the codes have expired.
func (c *Client) AwaitDeviceLogin(ctx context.Context, d DeviceLogin) (User, error) {
	interval := time.Duration(d.Interval) * time.Second
	ends := c.now().Add(time.Duration(d.ExpiresIn) * time.Second)
	for {
		if err := c.retry.Sleep(ctx, interval); err != nil {
			return User{}, err
		}
		tokens, err := c.pollDeviceLogin(ctx, d.DeviceCode)
		if err == nil {
			return c.storeDeviceLogin(ctx, tokens)
		}
		switch {
		case codeOf(err) == AuthorizationPending:
		case codeOf(err) == SlowDown:
			interval += slowerBy
		case !unanswered(err) || !c.now().Before(ends):
			return User{}, err
		}
	}
}

func codeOf(err error) ProblemCode {
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused.Code
	}
	return ""
}

// unanswered reports whether the server may answer the same request later.
func unanswered(err error) bool {
	if _, ok := errors.AsType[*UnreachableError](err); ok {
		return true
	}
	refused, ok := errors.AsType[*Error](err)
	return ok && (refused.Status >= http.StatusInternalServerError || refused.Status == http.StatusTooManyRequests)
}

func (c *Client) pollDeviceLogin(ctx context.Context, deviceCode string) (openapi.Tokens, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/device/token", openapi.DeviceToken{DeviceCode: deviceCode, DeviceToken: c.deviceToken("")})
	if err != nil {
		return openapi.Tokens{}, err
	}
	return fetch[openapi.Tokens](ctx, c, operation{request: request, anonymous: true, repeat: unsentOnly})
}

// storeDeviceLogin stores the tokens of a new session, and ends the session if that fails. The lock
// of the store is not held while the device waits, which may take minutes.
func (c *Client) storeDeviceLogin(ctx context.Context, tokens openapi.Tokens) (User, error) {
	ctx = context.WithoutCancel(ctx) // the server gives them once
	c.keepDeviceToken(tokens)
	err := c.tokens.Update(ctx, func(Credentials) (Credentials, error) { return c.credentials(tokens), nil })
	if err != nil {
		once := *c
		once.tokens = StaticToken(tokens.AccessToken)
		_ = once.LogOut(ctx) // otherwise it expires
		return User{}, err
	}
	return tokens.User, nil
}

// FindDeviceLogin shows the device that waits with a user code, as the user typed it.
func (c *Client) FindDeviceLogin(ctx context.Context, userCode string) (DeviceRequest, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/device/find", openapi.UserCode{UserCode: userCode})
	return read[DeviceRequest](ctx, c, request, err)
}

// ApproveDeviceLogin lets the device of a request that FindDeviceLogin returned start a session as
// the user. otp is a code of the second factor, if the user has one.
func (c *Client) ApproveDeviceLogin(ctx context.Context, d DeviceRequest, userCode, otp string) error {
	return c.decideDevice(ctx, "/v1/auth/device/approve", openapi.DeviceApproval{Id: d.Id, UserCode: userCode, Otp: otp})
}

// DenyDeviceLogin refuses the request of a device.
func (c *Client) DenyDeviceLogin(ctx context.Context, d DeviceRequest, userCode string) error {
	return c.decideDevice(ctx, "/v1/auth/device/deny", openapi.DeviceDenial{Id: d.Id, UserCode: userCode})
}

func (c *Client) decideDevice(ctx context.Context, path string, body any) error {
	request, err := c.send(http.MethodPost, path, body)
	if err != nil {
		return err
	}
	got, err := c.do(ctx, operation{request: request, repeat: unsentOnly})
	if err != nil {
		return err
	}
	return c.checkNoContent(got)
}
