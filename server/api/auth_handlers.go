package api

import (
	"context"
	"unicode/utf8"

	"github.com/JDevAman/kizo/money"
	"github.com/JDevAman/kizo/server/auth"
	crash "github.com/JDevAman/kizo/server/failpoint"
)

// SignUp makes a user and opens their first wallet. A crash between the two is
// mended by the next log-in.
func (a *API) SignUp(ctx context.Context, r SignUpRequestObject) (SignUpResponseObject, error) {
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
	// The queue for hashing has a bound of its own: who waits in it takes no place of a payment.
	a.admission.aside(func() {
		tokens, u, err = a.auth.SignUp(ctx, auth.SignUpInput{
			Email: r.Body.Email, Handle: r.Body.Handle, Name: r.Body.Name, Password: r.Body.Password,
			Client: from(ctx).client,
		})
	})
	if err != nil {
		return nil, err
	}
	_ = crash.Point("api.signed_up")
	if _, err := a.ledger.OpenWallet(ctx, u.ID, currency); err != nil {
		return nil, err
	}
	return SignUp201JSONResponse(viewTokens(tokens, u)), nil
}

// LogIn starts a session.
func (a *API) LogIn(ctx context.Context, r LogInRequestObject) (LogInResponseObject, error) {
	var (
		tokens auth.Tokens
		u      auth.User
		err    error
	)
	a.admission.aside(func() { tokens, u, err = a.auth.LogIn(ctx, r.Body.Login, r.Body.Password, from(ctx).client) })
	if err != nil {
		return nil, err
	}
	wallets, err := a.ledger.Wallets(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	if len(wallets) == 0 {
		if _, err := a.ledger.OpenWallet(ctx, u.ID, a.currency); err != nil {
			return nil, err
		}
	}
	return LogIn200JSONResponse(viewTokens(tokens, u)), nil
}

// Refresh trades a refresh token for new tokens.
func (a *API) Refresh(ctx context.Context, r RefreshRequestObject) (RefreshResponseObject, error) {
	tokens, u, err := a.auth.Refresh(ctx, r.Body.RefreshToken, from(ctx).client)
	if err != nil {
		return nil, err
	}
	return Refresh200JSONResponse(viewTokens(tokens, u)), nil
}

// LogOut ends the session of this request.
func (a *API) LogOut(ctx context.Context, _ LogOutRequestObject) (LogOutResponseObject, error) {
	if err := a.auth.LogOut(ctx, from(ctx).principal.SessionID); err != nil {
		return nil, err
	}
	return LogOut204Response{}, nil
}

// GetMe is the profile of who asks.
func (a *API) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	u, err := a.auth.Me(ctx, user(ctx))
	if err != nil {
		return nil, err
	}
	return GetMe200JSONResponse(viewUser(u)), nil
}

// UpdateMe changes the name that others see, and whether they find the user by e-mail.
func (a *API) UpdateMe(ctx context.Context, r UpdateMeRequestObject) (UpdateMeResponseObject, error) {
	if r.Body.Name == nil && r.Body.FindableByEmail == nil {
		return nil, faultf(BodyMalformed, "", "say what to change: name, findable_by_email, or both")
	}
	u, err := a.auth.UpdateProfile(ctx, user(ctx), auth.ProfileUpdate{Name: r.Body.Name, FindableByEmail: r.Body.FindableByEmail})
	if err != nil {
		return nil, err
	}
	return UpdateMe200JSONResponse(viewUser(u)), nil
}

// ListSessions shows where the user is logged in.
func (a *API) ListSessions(ctx context.Context, _ ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	sessions, err := a.auth.Sessions(ctx, user(ctx))
	if err != nil {
		return nil, err
	}
	list := SessionList{Items: make([]Session, len(sessions))}
	for i, s := range sessions {
		list.Items[i] = Session{
			Id: s.ID, Current: s.ID == from(ctx).principal.SessionID, Client: optional(s.Client), Address: optional(s.Address),
			CreatedAt: s.CreatedAt.UTC(), LastUsedAt: s.LastUsedAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(),
		}
	}
	return ListSessions200JSONResponse(list), nil
}

// ListSecurityEvents shows what happened to the access to the user's account.
func (a *API) ListSecurityEvents(ctx context.Context, r ListSecurityEventsRequestObject) (ListSecurityEventsResponseObject, error) {
	limit, err := pageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	events, err := a.auth.History(ctx, user(ctx), limit)
	if err != nil {
		return nil, err
	}
	list := SecurityEventList{Items: make([]SecurityEvent, len(events))}
	for i, e := range events {
		list.Items[i] = SecurityEvent{
			Id: e.ID, At: e.At.UTC(), Event: string(e.Event), SessionId: e.SessionID,
			Client: optional(e.Client), Address: optional(e.Address), Detail: optional(e.Detail),
		}
	}
	return ListSecurityEvents200JSONResponse(list), nil
}

// RevokeSession ends one of the user's sessions.
func (a *API) RevokeSession(ctx context.Context, r RevokeSessionRequestObject) (RevokeSessionResponseObject, error) {
	if err := a.auth.RevokeSession(ctx, user(ctx), r.Id); err != nil {
		return nil, err
	}
	return RevokeSession204Response{}, nil
}

// SearchUsers finds people, and never their e-mail addresses.
func (a *API) SearchUsers(ctx context.Context, r SearchUsersRequestObject) (SearchUsersResponseObject, error) {
	const most = 10
	if utf8.RuneCountInString(r.Params.Q) > maxSearchText {
		return nil, faultf(ParameterMalformed, "q", "q is at most 80 characters")
	}
	found, err := a.auth.SearchUsers(ctx, r.Params.Q, most)
	if err != nil {
		return nil, err
	}
	list := PersonList{Items: make([]Person, len(found))}
	for i, u := range found {
		list.Items[i] = Person{Handle: u.Handle, Name: u.Name, Staff: staff(u.Role)}
	}
	return SearchUsers200JSONResponse(list), nil
}

func viewTokens(t auth.Tokens, u auth.User) Tokens {
	return Tokens{
		AccessToken: t.AccessToken, RefreshToken: t.RefreshToken,
		ExpiresIn: int(t.ExpiresIn.Seconds()), User: viewUser(u),
	}
}

func viewUser(u auth.User) User {
	return User{
		Id: u.ID, Email: u.Email, Handle: u.Handle, Name: u.Name,
		Role: UserRole(u.Role), CreatedAt: u.CreatedAt.UTC(), EmailVerified: u.EmailVerified, FindableByEmail: u.FindableByEmail,
	}
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
