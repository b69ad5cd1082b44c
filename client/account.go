package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/apikey"
	"github.com/JDevAman/kizo/openapi"
)

// SignUp creates a user and stores the tokens of the new session.
func (c *Client) SignUp(ctx context.Context, user SignUp) (User, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/signup", user)
	return c.begin(ctx, request, err)
}

// LogIn starts a session and stores its tokens. login is an e-mail address or a handle. otp is a
// code of the second factor or a recovery code; it is empty for users without one, and others are
// refused with OtpRequired.
func (c *Client) LogIn(ctx context.Context, login, password, otp string) (User, error) {
	body := openapi.LogIn{Login: login, Password: password, Otp: otp, DeviceToken: c.deviceToken(login)}
	request, err := c.send(http.MethodPost, "/v1/auth/login", body)
	return c.begin(ctx, request, err)
}

// logInTimeout is how long a busy server may take to check a password (see HashRequestTimeout of
// server/auth). A client with a shorter timeout would give up what the server is about to grant.
const logInTimeout = time.Minute

// begin requests tokens under the lock of the store, so that a session whose tokens cannot be
// stored is not started.
func (c *Client) begin(ctx context.Context, request *http.Request, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	var user User
	err = c.tokens.Update(ctx, func(held Credentials) (Credentials, error) {
		op := operation{request: request, anonymous: true, repeat: unsentOnly, wait: logInTimeout}
		tokens, err := fetch[openapi.Tokens](ctx, c, op)
		if err != nil {
			return held, err
		}
		user = tokens.User
		c.keepDeviceToken(tokens)
		return c.credentials(tokens), nil
	})
	return user, err
}

// LogOut ends the session. The stored tokens are removed once the server has ended the session, or
// answers that it has ended already. A stored API key is removed, and stays valid.
func (c *Client) LogOut(ctx context.Context) error {
	held, err := c.tokens.Load(ctx)
	if err == nil && apikey.Is(held.AccessToken) {
		if _, fixed := c.tokens.(staticToken); !fixed {
			return c.Forget(ctx)
		}
	}
	request, err := c.send(http.MethodPost, "/v1/auth/logout", nil)
	err = c.act(ctx, request, err)
	if err != nil && !sessionOver(err) && !tokenRefused(err) {
		return err
	}
	if _, fixed := c.tokens.(staticToken); fixed {
		return nil
	}
	return c.Forget(ctx)
}

// ChangePassword replaces the user's password and ends the user's other sessions. It is not
// repeated: if the answer is lost, a log-in shows which password is valid.
func (c *Client) ChangePassword(ctx context.Context, change PasswordChange) (PasswordChanged, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/password", change)
	if err != nil {
		return PasswordChanged{}, err
	}
	return fetch[PasswordChanged](ctx, c, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
}

// MailResetCode asks for a mail with a reset code, to the verified address of a user. It succeeds
// for unknown logins, too. It is not repeated: a second code would replace the first.
func (c *Client) MailResetCode(ctx context.Context, login string) error {
	request, err := c.send(http.MethodPost, "/v1/auth/password/reset/mail", openapi.ResetCodeRequest{Login: login})
	if err != nil {
		return err
	}
	got, err := c.do(ctx, operation{request: request, anonymous: true, repeat: unsentOnly})
	if err != nil {
		return err
	}
	return c.checkNoContent(got)
}

// MailEmailCode asks for a mail with a code that verifies the user's own e-mail address.
func (c *Client) MailEmailCode(ctx context.Context) error {
	request, err := c.send(http.MethodPost, "/v1/auth/email/code", nil)
	return c.act(ctx, request, err)
}

// ChangeEmail asks for another e-mail address, to which a code is mailed.
func (c *Client) ChangeEmail(ctx context.Context, change EmailChange) error {
	request, err := c.send(http.MethodPost, "/v1/auth/email", change)
	if err != nil {
		return err
	}
	got, err := c.do(ctx, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
	if err != nil {
		return err
	}
	return c.checkNoContent(got)
}

// ConfirmEmail verifies or changes the user's e-mail address with a mailed code.
func (c *Client) ConfirmEmail(ctx context.Context, code string) (User, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/email/confirm", openapi.EmailConfirm{Code: code})
	if err != nil {
		return User{}, err
	}
	return fetch[User](ctx, c, operation{request: request, repeat: unsentOnly})
}

// ResetPassword gives a user who has a code another password. It does not log in. It is not
// repeated: if the answer is lost, a log-in shows which password is valid.
func (c *Client) ResetPassword(ctx context.Context, reset PasswordReset) error {
	request, err := c.send(http.MethodPost, "/v1/auth/password/reset", reset)
	if err != nil {
		return err
	}
	got, err := c.do(ctx, operation{request: request, anonymous: true, repeat: unsentOnly, wait: logInTimeout})
	if err != nil {
		return err
	}
	return c.checkNoContent(got)
}

// Forget removes the stored session without a request to the server.
func (c *Client) Forget(ctx context.Context) error {
	return c.tokens.Clear(ctx)
}

// EndOtherSessions ends all of the user's sessions but the own one, and returns their ids.
func (c *Client) EndOtherSessions(ctx context.Context) ([]uuid.UUID, error) {
	request, err := c.send(http.MethodPost, "/v1/sessions/end-others", nil)
	ended, err := read[openapi.SessionsEnded](ctx, c, request, err)
	return ended.SessionIds, err
}

// FreezeMe freezes the user's own account: no money moves until the user lifts it with UnfreezeMe,
// or an operator does.
func (c *Client) FreezeMe(ctx context.Context) error {
	request, err := c.send(http.MethodPost, "/v1/me/freeze", nil)
	return c.act(ctx, request, err)
}

// UnfreezeMe lifts the freeze that the user has made. The error has the code SecondFactorMissing
// for a user without a second factor, and AccountFrozen if an operator has frozen the account.
func (c *Client) UnfreezeMe(ctx context.Context) error {
	request, err := c.send(http.MethodPost, "/v1/me/unfreeze", nil)
	return c.act(ctx, request, err)
}

// Me returns the user that the token belongs to.
func (c *Client) Me(ctx context.Context) (User, error) {
	request, err := c.get("/v1/me", nil)
	return read[User](ctx, c, request, err)
}

// Rename changes the user's name.
func (c *Client) Rename(ctx context.Context, name string) (User, error) {
	return c.UpdateProfile(ctx, UserUpdate{Name: &name})
}

// UpdateProfile changes the fields that are not nil.
func (c *Client) UpdateProfile(ctx context.Context, update UserUpdate) (User, error) {
	request, err := c.send(http.MethodPatch, "/v1/me", update)
	return read[User](ctx, c, request, err)
}

// Sessions returns the user's open sessions.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	request, err := c.get("/v1/sessions", nil)
	list, err := read[openapi.SessionList](ctx, c, request, err)
	return list.Items, err
}

// SecurityEvents returns what happened to the access to the user's account, newest first. limit is
// 1 to 100.
func (c *Client) SecurityEvents(ctx context.Context, limit int32) ([]SecurityEvent, error) {
	request, err := c.get("/v1/sessions/history", &openapi.ListSecurityEventsParams{Limit: &limit})
	list, err := read[openapi.SecurityEventList](ctx, c, request, err)
	return list.Items, err
}

// Notices returns a page of the user's inbox, newest first.
func (c *Client) Notices(ctx context.Context, params ListNoticesParams) (NoticeList, error) {
	request, err := c.get("/v1/notices", &params)
	return read[NoticeList](ctx, c, request, err)
}

// ReadNotices marks 1 to 100 notices of the user as read.
func (c *Client) ReadNotices(ctx context.Context, ids []int64) (NoticesMarked, error) {
	request, err := c.send(http.MethodPost, "/v1/notices/read", openapi.NoticesRead{Ids: ids})
	return read[NoticesMarked](ctx, c, request, err)
}

// RevokeSession ends one session of the user.
func (c *Client) RevokeSession(ctx context.Context, id uuid.UUID) error {
	request, err := c.send(http.MethodDelete, pathOf("/v1/sessions/%s", id.String()), nil)
	return c.act(ctx, request, err)
}

// SearchUsers finds users whose handle or name begins with prefix, at most ten.
func (c *Client) SearchUsers(ctx context.Context, prefix string) ([]Person, error) {
	request, err := c.get("/v1/users", &openapi.SearchUsersParams{Q: prefix})
	list, err := read[openapi.PersonList](ctx, c, request, err)
	return list.Items, err
}

// read sends a request that may be repeated freely, unless building it failed, and decodes the
// answer.
func read[T any](ctx context.Context, c *Client, request *http.Request, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return fetch[T](ctx, c, operation{request: request})
}

// fetch sends a request and decodes the answer.
func fetch[T any](ctx context.Context, c *Client, op operation) (T, error) {
	var value T
	got, err := c.do(ctx, op)
	if err != nil {
		return value, err
	}
	if err := decode(got.body, &value); err != nil {
		var none T
		return none, c.protocolError(err)
	}
	return value, nil
}

// act sends a request whose answer has no body. Repeating it changes nothing.
func (c *Client) act(ctx context.Context, request *http.Request, err error) error {
	if err != nil {
		return err
	}
	got, err := c.do(ctx, operation{request: request})
	if err != nil {
		return err
	}
	return c.checkNoContent(got)
}
