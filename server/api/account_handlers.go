package api

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
	"github.com/JDevAman/kizo/server/mail"
)

// ChangeHandle gives the user another handle.
func (a *API) ChangeHandle(ctx context.Context, r routes.ChangeHandleRequestObject) (routes.ChangeHandleResponseObject, error) {
	var (
		user auth.User
		err  error
	)
	a.admission.releaseWhile(func() {
		user, err = a.auth.ChangeHandle(ctx, userID(ctx), auth.ChangeHandleInput{
			SessionID: requestOf(ctx).principal.SessionID, Handle: r.Body.Handle, Password: r.Body.Password, OTP: r.Body.Otp,
			Client: requestOf(ctx).client,
		})
	})
	if err != nil {
		return nil, err
	}
	return routes.ChangeHandle200JSONResponse(viewUser(user)), nil
}

// CloseMe closes the account of the user.
func (a *API) CloseMe(ctx context.Context, r routes.CloseMeRequestObject) (routes.CloseMeResponseObject, error) {
	var (
		who    = requestOf(ctx)
		notify string
		err    error
	)
	a.admission.releaseWhile(func() {
		in := auth.CloseAccountInput{Password: r.Body.Password, OTP: r.Body.Otp, Client: who.client}
		notify, err = a.auth.CloseAccount(ctx, who.principal, in, a.ledger.CloseOwner(who.principal.UserID))
	})
	if err != nil {
		return nil, err
	}
	a.mailEarlier(ctx, mail.AccountClosed, notify)
	return routes.CloseMe204Response{}, nil
}

// ExportMe returns a page of what is stored about the user, apart from the books.
func (a *API) ExportMe(ctx context.Context, r routes.ExportMeRequestObject) (routes.ExportMeResponseObject, error) {
	if !utf8.ValidString(r.Body.Cursor) || strings.ContainsRune(r.Body.Cursor, 0) || len(r.Body.Cursor) > 200 {
		return nil, reject(openapi.ParameterMalformed, "cursor", "this is not a cursor of this list")
	}
	records, next, err := a.auth.Records(ctx, requestOf(ctx).principal, r.Body.Cursor, requestOf(ctx).client)
	if err != nil {
		return nil, err
	}
	page := openapi.RecordList{Items: make([]openapi.Record, len(records)), NextCursor: next}
	for i, record := range records {
		page.Items[i] = openapi.Record{Table: record.Table, Row: record.Row}
	}
	return routes.ExportMe200JSONResponse(page), nil
}
