package api

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/failpoint"
)

// SignUp creates a user and opens their first wallet. After a crash between the two, the next
// log-in opens the wallet.
func (a *API) SignUp(ctx context.Context, r routes.SignUpRequestObject) (routes.SignUpResponseObject, error) {
	currency := a.currency
	if r.Body.Currency != nil {
		currency = money.Currency(*r.Body.Currency)
		if !currency.Known() {
			return nil, unknownCurrency()
		}
	}
	var (
		tokens auth.Tokens
		u      auth.User
		err    error
	)
	// The hash queue has a bound of its own, so a request that waits in it is not counted in
	// flight.
	a.admission.releaseWhile(func() {
		tokens, u, err = a.auth.SignUp(ctx, auth.SignUpInput{
			Email: r.Body.Email, Handle: r.Body.Handle, Name: r.Body.Name, Password: r.Body.Password,
			Client: requestOf(ctx).client,
		})
	})
	if err != nil {
		return nil, err
	}
	_ = failpoint.Point("api.signed_up")
	if _, err := a.ledger.OpenWallet(ctx, u.ID, currency); err != nil {
		return nil, err
	}
	return routes.SignUp201JSONResponse(viewTokens(tokens, u)), nil
}

// LogIn starts a session.
func (a *API) LogIn(ctx context.Context, r routes.LogInRequestObject) (routes.LogInResponseObject, error) {
	var (
		tokens auth.Tokens
		u      auth.User
		err    error
	)
	a.admission.releaseWhile(func() {
		tokens, u, err = a.auth.LogIn(ctx, r.Body.Login, r.Body.Password, r.Body.Otp, requestOf(ctx).onDevice(r.Body.DeviceToken))
	})
	if err != nil {
		return nil, err
	}
	if err := a.openFirstWallet(ctx, u); err != nil {
		return nil, err
	}
	return routes.LogIn200JSONResponse(viewTokens(tokens, u)), nil
}

// openFirstWallet opens a wallet for a user who has none, after a crash during the sign-up.
func (a *API) openFirstWallet(ctx context.Context, u auth.User) error {
	wallets, err := a.ledger.Wallets(ctx, u.ID)
	if err != nil || len(wallets) > 0 {
		return err
	}
	_, err = a.ledger.OpenWallet(ctx, u.ID, a.currency)
	return err
}

// Refresh exchanges a refresh token for new tokens.
func (a *API) Refresh(ctx context.Context, r routes.RefreshRequestObject) (routes.RefreshResponseObject, error) {
	tokens, u, err := a.auth.Refresh(ctx, r.Body.RefreshToken, requestOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return routes.Refresh200JSONResponse(viewTokens(tokens, u)), nil
}

// LogOut ends the session of the request.
func (a *API) LogOut(ctx context.Context, _ routes.LogOutRequestObject) (routes.LogOutResponseObject, error) {
	if err := a.auth.LogOut(ctx, requestOf(ctx).principal.SessionID); err != nil {
		return nil, err
	}
	return routes.LogOut204Response{}, nil
}

// ChangePassword replaces the user's password and ends the user's other sessions.
func (a *API) ChangePassword(ctx context.Context, r routes.ChangePasswordRequestObject) (routes.ChangePasswordResponseObject, error) {
	var (
		changed auth.PasswordChange
		err     error
	)
	a.admission.releaseWhile(func() {
		changed, err = a.auth.ChangePassword(ctx, userID(ctx), auth.ChangePasswordInput{
			SessionID: requestOf(ctx).principal.SessionID, Current: r.Body.CurrentPassword, OTP: r.Body.Otp, New: r.Body.NewPassword,
			Client: requestOf(ctx).client,
		})
	})
	if err != nil {
		return nil, err
	}
	return routes.ChangePassword200JSONResponse{SessionsEnded: changed.SessionsEnded, ApiKeys: changed.APIKeys}, nil
}

// ResetPassword gives a user who has a code another password.
func (a *API) ResetPassword(ctx context.Context, r routes.ResetPasswordRequestObject) (routes.ResetPasswordResponseObject, error) {
	var err error
	a.admission.releaseWhile(func() {
		err = a.auth.ResetPassword(ctx, auth.ResetPasswordInput{
			Login: r.Body.Login, Code: r.Body.Code, OTP: r.Body.Otp, New: r.Body.NewPassword, Client: requestOf(ctx).client,
		})
	})
	if err != nil {
		return nil, err
	}
	return routes.ResetPassword204Response{}, nil
}

// GetMe returns the user's own profile.
func (a *API) GetMe(ctx context.Context, _ routes.GetMeRequestObject) (routes.GetMeResponseObject, error) {
	u, err := a.auth.Me(ctx, userID(ctx))
	if err != nil {
		return nil, err
	}
	frozen, err := a.ledger.IsFrozen(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	me := viewUser(u)
	me.Frozen = &frozen
	return routes.GetMe200JSONResponse(me), nil
}

// UpdateMe changes the user's name, and whether others find the user by e-mail address.
func (a *API) UpdateMe(ctx context.Context, r routes.UpdateMeRequestObject) (routes.UpdateMeResponseObject, error) {
	if r.Body.Name == nil && r.Body.FindableByEmail == nil {
		return nil, reject(openapi.BodyMalformed, "", "say what to change: name, findable_by_email, or both")
	}
	u, err := a.auth.UpdateProfile(ctx, userID(ctx), auth.ProfileUpdate{Name: r.Body.Name, FindableByEmail: r.Body.FindableByEmail})
	if err != nil {
		return nil, err
	}
	return routes.UpdateMe200JSONResponse(viewUser(u)), nil
}

// ListSessions returns the user's open sessions.
func (a *API) ListSessions(ctx context.Context, _ routes.ListSessionsRequestObject) (routes.ListSessionsResponseObject, error) {
	sessions, err := a.auth.Sessions(ctx, userID(ctx))
	if err != nil {
		return nil, err
	}
	list := openapi.SessionList{Items: make([]openapi.Session, len(sessions))}
	for i, s := range sessions {
		if s.ID == requestOf(ctx).principal.SessionID {
			s.LastUsedAt = time.Now() // the table has the time of the last refresh
		}
		list.Items[i] = openapi.Session{
			Id: s.ID, Current: s.ID == requestOf(ctx).principal.SessionID, Client: optional(s.Client), Address: optional(s.Address),
			CreatedAt: s.CreatedAt.UTC(), LastUsedAt: s.LastUsedAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(),
		}
	}
	return routes.ListSessions200JSONResponse(list), nil
}

// ListSecurityEvents returns the user's log-ins and changes of sessions, newest first.
func (a *API) ListSecurityEvents(ctx context.Context, r routes.ListSecurityEventsRequestObject) (routes.ListSecurityEventsResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	events, err := a.auth.History(ctx, userID(ctx), limit)
	if err != nil {
		return nil, err
	}
	list := openapi.SecurityEventList{Items: make([]openapi.SecurityEvent, len(events))}
	for i, e := range events {
		list.Items[i] = openapi.SecurityEvent{
			Id: e.ID, At: e.At.UTC(), Event: string(e.Event), SessionId: e.SessionID,
			Client: optional(e.Client), Address: optional(e.Address), Detail: optional(e.Detail),
		}
	}
	return routes.ListSecurityEvents200JSONResponse(list), nil
}

// RevokeSession ends one of the user's sessions.
func (a *API) RevokeSession(ctx context.Context, r routes.RevokeSessionRequestObject) (routes.RevokeSessionResponseObject, error) {
	if err := a.auth.RevokeSession(ctx, userID(ctx), r.Id); err != nil {
		return nil, err
	}
	return routes.RevokeSession204Response{}, nil
}

// EndOtherSessions ends all of the user's sessions but that of the request.
func (a *API) EndOtherSessions(ctx context.Context, _ routes.EndOtherSessionsRequestObject) (routes.EndOtherSessionsResponseObject, error) {
	ended, err := a.auth.EndOtherSessions(ctx, userID(ctx), requestOf(ctx).principal.SessionID)
	if err != nil {
		return nil, err
	}
	return routes.EndOtherSessions200JSONResponse{SessionIds: append([]uuid.UUID{}, ended...)}, nil
}

// FreezeMe freezes the user's own account.
func (a *API) FreezeMe(ctx context.Context, _ routes.FreezeMeRequestObject) (routes.FreezeMeResponseObject, error) {
	if err := a.ledger.FreezeOwn(ctx, userID(ctx)); err != nil {
		return nil, err
	}
	// The money is safe, so a failure from here on may be repeated.
	r := requestOf(ctx)
	if err := a.auth.RecordOwnFreeze(ctx, r.principal, r.client, true); err != nil {
		return nil, err
	}
	return routes.FreezeMe204Response{}, nil
}

// UnfreezeMe lifts the freeze of the user's own account. It needs a second factor, since the other
// person who had the password would lift it as well.
func (a *API) UnfreezeMe(ctx context.Context, _ routes.UnfreezeMeRequestObject) (routes.UnfreezeMeResponseObject, error) {
	r := requestOf(ctx)
	if !r.principal.SecondFactor {
		return nil, reject(openapi.SecondFactorMissing, "", "without a second factor, only an operator lifts a freeze, after they have identified you")
	}
	lifted, err := a.ledger.UnfreezeOwn(ctx, userID(ctx))
	if err != nil {
		return nil, err
	}
	if lifted {
		if err := a.auth.RecordOwnFreeze(ctx, r.principal, r.client, false); err != nil {
			return nil, err
		}
	}
	return routes.UnfreezeMe204Response{}, nil
}

// SearchUsers finds users by handle or name. It never returns e-mail addresses.
func (a *API) SearchUsers(ctx context.Context, r routes.SearchUsersRequestObject) (routes.SearchUsersResponseObject, error) {
	const maxResults = 10
	if utf8.RuneCountInString(r.Params.Q) > maxSearchText {
		return nil, reject(openapi.ParameterMalformed, "q", "q is at most 80 characters")
	}
	found, err := a.auth.SearchUsers(ctx, r.Params.Q, maxResults)
	if err != nil {
		return nil, err
	}
	list := openapi.PersonList{Items: make([]openapi.Person, len(found))}
	for i, u := range found {
		list.Items[i] = openapi.Person{Handle: u.Handle, Name: u.Name, Staff: staff(u.Role)}
	}
	return routes.SearchUsers200JSONResponse(list), nil
}

func viewTokens(t auth.Tokens, u auth.User) openapi.Tokens {
	return openapi.Tokens{
		AccessToken: t.AccessToken, RefreshToken: t.RefreshToken,
		ExpiresIn: int(t.ExpiresIn.Seconds()), User: viewUser(u), DeviceToken: t.DeviceToken,
	}
}

func viewUser(u auth.User) openapi.User {
	return openapi.User{
		Id: uuid.UUID(u.ID), Email: u.Email, Handle: u.Handle, Name: u.Name,
		Role: openapi.UserRole(u.Role), CreatedAt: u.CreatedAt.UTC(), EmailVerified: u.EmailVerified, FindableByEmail: u.FindableByEmail,
	}
}

// optional returns nil for the empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
