package api

import (
	"context"
	"net/netip"
	"time"

	"github.com/JDevAman/kizo/internal/text"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/auth"
)

// CreateApiKey makes an API key, and returns its secret for the only time.
func (a *API) CreateApiKey(ctx context.Context, r routes.CreateApiKeyRequestObject) (routes.CreateApiKeyResponseObject, error) {
	scopes, err := auth.ParseScopes(r.Body.Scopes)
	if err != nil {
		return nil, err
	}
	networks, err := parseNetworks(r.Body.Networks)
	if err != nil {
		return nil, err
	}
	life, err := lifeOf(r.Body.ExpiresIn)
	if err != nil {
		return nil, err
	}
	limit, err := a.limitOf(ctx, r.Body)
	if err != nil {
		return nil, err
	}
	var (
		secret string
		key    auth.APIKey
	)
	// As for a log-in, a request that waits in the hash queue is not counted in flight.
	a.admission.releaseWhile(func() {
		secret, key, err = a.auth.CreateAPIKey(ctx, userID(ctx), auth.NewAPIKey{
			Name: r.Body.Name, Scopes: scopes, Networks: networks, Life: life,
			Password: r.Body.Password, SessionID: requestOf(ctx).principal.SessionID, OTP: r.Body.Otp, Client: requestOf(ctx).client,
			StoreLimits: a.storeLimits(limit), Limits: limit.String(),
		})
	})
	if err != nil {
		return nil, err
	}
	return routes.CreateApiKey201JSONResponse{Key: a.viewNewKey(ctx, key), Secret: secret}, nil
}

// RotateApiKey gives an API key a new secret.
func (a *API) RotateApiKey(ctx context.Context, r routes.RotateApiKeyRequestObject) (routes.RotateApiKeyResponseObject, error) {
	life, err := lifeOf(r.Body.ExpiresIn)
	if err != nil {
		return nil, err
	}
	overlap := auth.DefaultAPIKeyOverlap
	if r.Body.Overlap != nil {
		if overlap, err = seconds("overlap", *r.Body.Overlap); err != nil {
			return nil, err
		}
	}
	var (
		secret string
		key    auth.APIKey
	)
	a.admission.releaseWhile(func() {
		secret, key, err = a.auth.RotateAPIKey(ctx, userID(ctx), r.Id, auth.RotateAPIKeyInput{
			Life: life, Overlap: overlap, Password: r.Body.Password, SessionID: requestOf(ctx).principal.SessionID, OTP: r.Body.Otp, Client: requestOf(ctx).client,
		})
	})
	if err != nil {
		return nil, err
	}
	return routes.RotateApiKey200JSONResponse{Key: a.viewNewKey(ctx, key), Secret: secret}, nil
}

// RevokeApiKey ends an API key.
func (a *API) RevokeApiKey(ctx context.Context, r routes.RevokeApiKeyRequestObject) (routes.RevokeApiKeyResponseObject, error) {
	if err := a.auth.RevokeAPIKey(ctx, userID(ctx), r.Id, requestOf(ctx).client); err != nil {
		return nil, err
	}
	return routes.RevokeApiKey204Response{}, nil
}

// ListApiKeys returns the user's API keys.
func (a *API) ListApiKeys(ctx context.Context, _ routes.ListApiKeysRequestObject) (routes.ListApiKeysResponseObject, error) {
	list, err := a.keysOf(ctx, userID(ctx))
	return routes.ListApiKeys200JSONResponse(list), err
}

// OpsListApiKeys returns the API keys of any user, without their secrets.
func (a *API) OpsListApiKeys(ctx context.Context, r routes.OpsListApiKeysRequestObject) (routes.OpsListApiKeysResponseObject, error) {
	u, err := a.lookAtUser(ctx, viewKeys, r.Login)
	if err != nil {
		return nil, err
	}
	list, err := a.keysOf(ctx, u.ID)
	return routes.OpsListApiKeys200JSONResponse(list), err
}

// OpsRevokeApiKeys ends all API keys of a user.
func (a *API) OpsRevokeApiKeys(ctx context.Context, r routes.OpsRevokeApiKeysRequestObject) (routes.OpsRevokeApiKeysResponseObject, error) {
	err := a.actOnUser(ctx, "user.revoke_keys", r.Login, r.Body.Reason, func(u auth.UserRef) error {
		return a.auth.RevokeAPIKeys(ctx, u.ID)
	})
	if err != nil {
		return nil, err
	}
	return routes.OpsRevokeApiKeys204Response{}, nil
}

func (a *API) keysOf(ctx context.Context, user auth.UserID) (openapi.ApiKeyList, error) {
	keys, err := a.auth.APIKeys(ctx, user)
	if err != nil {
		return openapi.ApiKeyList{}, err
	}
	now := time.Now()
	list := openapi.ApiKeyList{Items: make([]openapi.ApiKey, len(keys))}
	for i, key := range keys {
		list.Items[i] = viewKey(key, now)
	}
	return list, a.viewLimits(ctx, keys, list.Items)
}

func viewKey(k auth.APIKey, now time.Time) openapi.ApiKey {
	v := openapi.ApiKey{
		Id: k.ID, Name: k.Name, State: "active", Scopes: k.Scopes.Names(), Networks: make([]string, len(k.Networks)),
		CreatedAt: k.CreatedAt.UTC(), ExpiresAt: k.ExpiresAt.UTC(), RotatedAt: inUTC(k.RotatedAt), OverlapEndsAt: inUTC(k.OverlapEnds),
		RevokedAt: inUTC(k.RevokedAt), LastUsedAt: inUTC(k.LastUsedAt), LastAddress: optional(k.LastAddress),
	}
	for i, network := range k.Networks {
		v.Networks[i] = network.String()
	}
	switch {
	case k.RevokedAt != nil:
		v.State = "revoked"
	case !now.Before(k.ExpiresAt):
		v.State = "expired"
	}
	return v
}

func inUTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	utc := at.UTC()
	return &utc
}

// parseNetworks parses the networks that a key works from.
func parseNetworks(texts *[]string) ([]netip.Prefix, error) {
	if texts == nil {
		return nil, nil
	}
	networks := make([]netip.Prefix, 0, len(*texts))
	for _, one := range *texts {
		network, err := parseNetwork(one)
		if err != nil {
			return nil, reject(openapi.NetworkMalformed, "networks", text.Clean(err.Error(), maxQuoted)) // it quotes the caller
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// lifeOf returns the life of a secret, or 0 for the default.
func lifeOf(expiresIn *int) (time.Duration, error) {
	if expiresIn == nil {
		return 0, nil
	}
	if *expiresIn == 0 {
		return 0, reject(openapi.KeyLifeOutOfRange, "expires_in", "a key is valid for at least one second")
	}
	return seconds("expires_in", *expiresIn)
}

// seconds returns a number of seconds that fits a duration; package auth knows the limits.
func seconds(field string, n int) (time.Duration, error) {
	const maxSeconds = 1 << 32
	if n < 0 || n > maxSeconds {
		return 0, reject(openapi.KeyLifeOutOfRange, field, "that is not a time for which a key can be valid")
	}
	return time.Duration(n) * time.Second, nil
}
