package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Request is a request to any path of the API, for programs that need one without a method here.
type Request struct {
	Method string // GET, POST, PATCH, PUT or DELETE
	Path   string // from /v1/ on, with its query
	Body   []byte // JSON; may be empty

	// Key is the Idempotency-Key. The server needs one where money moves, and ignores it elsewhere.
	Key string
}

// Do sends a request and returns the JSON of the answer, which is empty if the answer has none. A
// GET, and a request with a key, is repeated as [Client.Send] does, and with a key the errors are
// those of Send.
func (c *Client) Do(ctx context.Context, r Request) (json.RawMessage, error) {
	if !strings.HasPrefix(r.Path, "/v1/") {
		return nil, fmt.Errorf("%q is not a path of the API: it begins with /v1/", r.Path)
	}
	if len(r.Body) > 0 && !json.Valid(r.Body) {
		return nil, errors.New("the body is not JSON")
	}
	request, err := newRequest(c.server, r.Method, r.Path, r.Body)
	if err != nil {
		return nil, err
	}
	op := operation{request: request, key: r.Key}
	if r.Key != "" {
		if err := CheckKey(r.Key); err != nil {
			return nil, err
		}
		request.Header.Set("Idempotency-Key", r.Key)
	} else if r.Method != http.MethodGet {
		op.repeat = unsentOnly
	}
	got, err := c.do(ctx, op)
	if err != nil {
		return nil, err
	}
	if got.status == http.StatusNoContent {
		return nil, nil
	}
	if !json.Valid(got.body) {
		return nil, op.inDoubt(c.protocolError(errors.New("the answer is not JSON")), true)
	}
	return got.body, nil
}
