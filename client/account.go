package client

import (
	"context"
	"net/http"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"
)

// SignUp makes a user and keeps the session.
func (k *Kizo) SignUp(ctx context.Context, who SignUp) (User, error) {
	request, err := NewSignUpRequest(k.server, who)
	return k.begin(ctx, request, err)
}

// LogIn starts a session, with an e-mail address or a handle, and keeps it.
func (k *Kizo) LogIn(ctx context.Context, login, password string) (User, error) {
	request, err := NewLogInRequest(k.server, LogIn{Login: login, Password: password})
	return k.begin(ctx, request, err)
}

// signInWait is how long a busy server may take to check a password, at most (see
// HashRequestTimeout of server/auth). The client waits longer than that, or it would
// give up what the server is about to grant.
const signInWait = time.Minute

// begin asks for tokens under the lock of the store: a session that cannot be kept is not begun.
func (k *Kizo) begin(ctx context.Context, request *http.Request, err error) (User, error) {
	if err != nil {
		return User{}, err
	}
	var user User
	err = k.tokens.Update(ctx, func(held Credentials) (Credentials, error) {
		tokens, err := fetch[Tokens](ctx, k, call{request: request, anonymous: true, repeat: unsentOnly, wait: signInWait})
		if err != nil {
			return held, err
		}
		user = tokens.User
		return k.credentials(tokens), nil
	})
	return user, err
}

// LogOut ends the session. What is stored is forgotten once the server has ended it, or says that it
// has ended already.
func (k *Kizo) LogOut(ctx context.Context) error {
	request, err := NewLogOutRequest(k.server)
	err = k.act(ctx, request, err)
	if err != nil && !sessionOver(err) && !tokenRefused(err) {
		return err
	}
	if _, fixed := k.tokens.(staticToken); fixed {
		return nil
	}
	return k.Forget(ctx)
}

// Forget drops the stored session without telling the server.
func (k *Kizo) Forget(ctx context.Context) error {
	return k.tokens.Clear(ctx)
}

// Me is the user that the token belongs to.
func (k *Kizo) Me(ctx context.Context) (User, error) {
	request, err := NewGetMeRequest(k.server)
	return get[User](ctx, k, request, err)
}

// Rename changes the user's name.
func (k *Kizo) Rename(ctx context.Context, name string) (User, error) {
	return k.UpdateProfile(ctx, UserUpdate{Name: &name})
}

// UpdateProfile changes what is not nil.
func (k *Kizo) UpdateProfile(ctx context.Context, update UserUpdate) (User, error) {
	request, err := NewUpdateMeRequest(k.server, update)
	return get[User](ctx, k, request, err)
}

// Sessions are the places where the user is signed in.
func (k *Kizo) Sessions(ctx context.Context) ([]Session, error) {
	request, err := NewListSessionsRequest(k.server)
	list, err := get[SessionList](ctx, k, request, err)
	return list.Items, err
}

// SecurityEvents are what happened to the access to the user's account, newest first.
func (k *Kizo) SecurityEvents(ctx context.Context, limit int32) ([]SecurityEvent, error) {
	request, err := NewListSecurityEventsRequest(k.server, &ListSecurityEventsParams{Limit: &limit})
	list, err := get[SecurityEventList](ctx, k, request, err)
	return list.Items, err
}

// RevokeSession ends one session of the user.
func (k *Kizo) RevokeSession(ctx context.Context, id openapi_types.UUID) error {
	request, err := NewRevokeSessionRequest(k.server, id)
	return k.act(ctx, request, err)
}

// People finds users whose handle or name begins with q, at most ten.
func (k *Kizo) People(ctx context.Context, q string) ([]Person, error) {
	request, err := NewSearchUsersRequest(k.server, &SearchUsersParams{Q: q})
	list, err := get[PersonList](ctx, k, request, err)
	return list.Items, err
}

// get sends a request that may be repeated freely, unless building it failed.
func get[T any](ctx context.Context, k *Kizo, request *http.Request, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return fetch[T](ctx, k, call{request: request})
}

func fetch[T any](ctx context.Context, k *Kizo, c call) (T, error) {
	var value T
	got, err := k.do(ctx, c)
	if err != nil {
		return value, err
	}
	if err := decode(got.body, &value); err != nil {
		var none T
		return none, k.notKizo(err)
	}
	return value, nil
}
