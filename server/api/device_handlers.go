package api

import (
	"context"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
)

// BeginDeviceLogin returns the codes of a device that is to be logged in.
func (a *API) BeginDeviceLogin(ctx context.Context, _ routes.BeginDeviceLoginRequestObject) (routes.BeginDeviceLoginResponseObject, error) {
	d, err := a.auth.BeginDeviceLogin(ctx, requestOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return routes.BeginDeviceLogin201JSONResponse{
		DeviceCode: d.DeviceCode, UserCode: d.UserCode, ExpiresIn: int(d.ExpiresIn.Seconds()), Interval: int(d.Interval.Seconds()),
	}, nil
}

// FinishDeviceLogin starts the session of a device whose request was approved.
func (a *API) FinishDeviceLogin(ctx context.Context, r routes.FinishDeviceLoginRequestObject) (routes.FinishDeviceLoginResponseObject, error) {
	tokens, u, err := a.auth.FinishDeviceLogin(ctx, r.Body.DeviceCode, requestOf(ctx).onDevice(r.Body.DeviceToken))
	if err != nil {
		return nil, err
	}
	if err := a.openFirstWallet(ctx, u); err != nil {
		return nil, err
	}
	return routes.FinishDeviceLogin200JSONResponse(viewTokens(tokens, u)), nil
}

// FindDeviceLogin shows the device that waits with a user code.
func (a *API) FindDeviceLogin(ctx context.Context, r routes.FindDeviceLoginRequestObject) (routes.FindDeviceLoginResponseObject, error) {
	d, err := a.auth.FindDeviceLogin(ctx, userID(ctx), r.Body.UserCode, requestOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return routes.FindDeviceLogin200JSONResponse(openapi.DeviceRequest{
		Id: d.ID, Client: d.Client, Address: d.Address, RequestedAt: d.RequestedAt, ExpiresAt: d.ExpiresAt,
		SameAddress: d.SameAddress, OtpRequired: d.NeedsOTP && requestOf(ctx).principal.NeedsStepUp(),
	}), nil
}

// ApproveDeviceLogin lets a device start a session as the user.
func (a *API) ApproveDeviceLogin(ctx context.Context, r routes.ApproveDeviceLoginRequestObject) (routes.ApproveDeviceLoginResponseObject, error) {
	if err := a.decideDeviceLogin(ctx, true, r.Body.Id, r.Body.UserCode, r.Body.Otp); err != nil {
		return nil, err
	}
	return routes.ApproveDeviceLogin204Response{}, nil
}

// DenyDeviceLogin refuses the request of a device.
func (a *API) DenyDeviceLogin(ctx context.Context, r routes.DenyDeviceLoginRequestObject) (routes.DenyDeviceLoginResponseObject, error) {
	if err := a.decideDeviceLogin(ctx, false, r.Body.Id, r.Body.UserCode, ""); err != nil {
		return nil, err
	}
	return routes.DenyDeviceLogin204Response{}, nil
}

func (a *API) decideDeviceLogin(ctx context.Context, approve bool, id uuid.UUID, userCode, otp string) error {
	r := requestOf(ctx)
	return a.auth.DecideDeviceLogin(ctx, r.principal, auth.DeviceDecision{ID: id, UserCode: userCode, OTP: otp, Approve: approve, Client: r.client})
}
