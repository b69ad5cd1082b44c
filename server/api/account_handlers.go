package api

import (
	"context"

	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
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
