package api

import (
	"context"

	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
)

// GetSecondFactor says whether the user has a second factor.
func (a *API) GetSecondFactor(ctx context.Context, _ routes.GetSecondFactorRequestObject) (routes.GetSecondFactorResponseObject, error) {
	enabled, left, err := a.auth.SecondFactor(ctx, userID(ctx))
	if err != nil {
		return nil, err
	}
	return routes.GetSecondFactor200JSONResponse{Enabled: enabled, RecoveryCodes: left}, nil
}

// AddSecondFactor makes a secret for the user's authenticator app.
func (a *API) AddSecondFactor(ctx context.Context, r routes.AddSecondFactorRequestObject) (routes.AddSecondFactorResponseObject, error) {
	var (
		made auth.NewSecondFactor
		err  error
	)
	a.admission.releaseWhile(func() {
		made, err = a.auth.AddSecondFactor(ctx, userID(ctx), r.Body.Password, requestOf(ctx).client)
	})
	if err != nil {
		return nil, err
	}
	return routes.AddSecondFactor200JSONResponse{Secret: made.Secret, Uri: made.URI}, nil
}

// ConfirmSecondFactor confirms the second factor with a code, and returns the recovery codes.
func (a *API) ConfirmSecondFactor(ctx context.Context, r routes.ConfirmSecondFactorRequestObject) (routes.ConfirmSecondFactorResponseObject, error) {
	codes, err := a.auth.ConfirmSecondFactor(ctx, requestOf(ctx).principal, r.Body.Otp, requestOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return routes.ConfirmSecondFactor200JSONResponse{RecoveryCodes: codes}, nil
}

// RenewRecoveryCodes replaces the recovery codes, and returns the new ones.
func (a *API) RenewRecoveryCodes(ctx context.Context, r routes.RenewRecoveryCodesRequestObject) (routes.RenewRecoveryCodesResponseObject, error) {
	var (
		codes []string
		err   error
	)
	a.admission.releaseWhile(func() {
		codes, err = a.auth.RenewRecoveryCodes(ctx, requestOf(ctx).principal, r.Body.Password, r.Body.Otp, requestOf(ctx).client)
	})
	if err != nil {
		return nil, err
	}
	return routes.RenewRecoveryCodes200JSONResponse{RecoveryCodes: codes}, nil
}

// RemoveSecondFactor removes the second factor.
func (a *API) RemoveSecondFactor(ctx context.Context, r routes.RemoveSecondFactorRequestObject) (routes.RemoveSecondFactorResponseObject, error) {
	var err error
	a.admission.releaseWhile(func() {
		err = a.auth.RemoveSecondFactor(ctx, requestOf(ctx).principal, r.Body.Password, r.Body.Otp, requestOf(ctx).client)
	})
	if err != nil {
		return nil, err
	}
	return routes.RemoveSecondFactor204Response{}, nil
}
