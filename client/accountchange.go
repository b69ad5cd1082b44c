package client

import (
	"context"
	"net/http"

	"github.com/JDevAman/kizo/openapi"
)

// ChangeHandle gives the user another handle, and stores it with the session. It is not repeated:
// if the answer is lost, Me shows which handle the user has.
func (c *Client) ChangeHandle(ctx context.Context, change HandleChange) (User, error) {
	request, err := c.send(http.MethodPost, "/v1/me/handle", change)
	if err != nil {
		return User{}, err
	}
	user, err := fetch[User](ctx, c, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
	if err != nil {
		return User{}, err
	}
	return user, c.tokens.Update(ctx, func(held Credentials) (Credentials, error) {
		if held.User.Id == user.Id {
			held.User = user
		}
		return held, nil
	})
}

// CloseAccount closes the account of the user, forever, and forgets the session. It is not
// repeated: if the answer is lost, a log-in shows whether the account is closed.
func (c *Client) CloseAccount(ctx context.Context, password, otp string) error {
	request, err := c.send(http.MethodPost, "/v1/me/close", openapi.AccountClose{Password: password, Otp: otp})
	if err != nil {
		return err
	}
	got, err := c.do(ctx, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
	if err != nil {
		return err
	}
	if err := c.checkNoContent(got); err != nil {
		return err
	}
	if _, fixed := c.tokens.(staticToken); fixed {
		return nil
	}
	return c.Forget(context.WithoutCancel(ctx))
}

// Records returns a page of what is stored about the user, apart from the books: the first one, or
// that after the NextCursor of another. It is a POST because the first page is recorded.
func (c *Client) Records(ctx context.Context, cursor string) (RecordList, error) {
	request, err := c.send(http.MethodPost, "/v1/me/export", openapi.RecordsQuery{Cursor: cursor})
	return read[RecordList](ctx, c, request, err)
}
