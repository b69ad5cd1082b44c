package client

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/openapi"
)

// APIKeys returns the user's API keys, without their secrets: those that are not revoked, newest
// first, and then the others; at most 200.
func (c *Client) APIKeys(ctx context.Context) ([]APIKey, error) {
	request, err := c.get("/v1/auth/keys", nil)
	list, err := read[openapi.ApiKeyList](ctx, c, request, err)
	return list.Items, err
}

// CreateAPIKey creates an API key. Its secret cannot be read again. If the answer is lost, a second
// attempt fails with KeyNameTaken.
func (c *Client) CreateAPIKey(ctx context.Context, key APIKeyCreate) (APIKeySecret, error) {
	request, err := c.send(http.MethodPost, "/v1/auth/keys", key)
	return c.secret(ctx, request, err)
}

// RotateAPIKey gives an API key a new secret, which cannot be read again.
func (c *Client) RotateAPIKey(ctx context.Context, id uuid.UUID, rotate APIKeyRotate) (APIKeySecret, error) {
	request, err := c.send(http.MethodPost, pathOf("/v1/auth/keys/%s/rotate", id.String()), rotate)
	return c.secret(ctx, request, err)
}

// secret sends a request that has a password, and whose repeat would be another request.
func (c *Client) secret(ctx context.Context, request *http.Request, err error) (APIKeySecret, error) {
	if err != nil {
		return APIKeySecret{}, err
	}
	return fetch[APIKeySecret](ctx, c, operation{request: request, repeat: unsentOnly, wait: logInTimeout})
}

// RevokeAPIKey ends an API key of the user.
func (c *Client) RevokeAPIKey(ctx context.Context, id uuid.UUID) error {
	request, err := c.send(http.MethodDelete, pathOf("/v1/auth/keys/%s", id.String()), nil)
	return c.act(ctx, request, err)
}

// APIKeysOf returns the API keys of any user, for operators.
func (c *Client) APIKeysOf(ctx context.Context, login string) ([]APIKey, error) {
	request, err := c.get(pathOf("/v1/ops/users/%s/keys", login), nil)
	list, err := read[openapi.ApiKeyList](ctx, c, request, err)
	return list.Items, err
}

// RevokeAPIKeysOf ends all API keys of a user, for operators.
func (c *Client) RevokeAPIKeysOf(ctx context.Context, login, reason string) error {
	return c.actWithReason(ctx, pathOf("/v1/ops/users/%s/revoke-keys", login), reason)
}
