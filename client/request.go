package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/google/uuid"
)

// get builds a GET request. query is a pointer to a Params type of the contract, or nil.
func (c *Client) get(path string, query any) (*http.Request, error) {
	if query != nil {
		path += "?" + encodeQuery(query)
	}
	return newRequest(c.server, http.MethodGet, path, nil)
}

// send builds a request with a body, which is encoded as JSON unless it is nil.
func (c *Client) send(method, path string, body any) (*http.Request, error) {
	if body == nil {
		return newRequest(c.server, method, path, nil)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return newRequest(c.server, method, path, encoded)
}

// newRequest builds the request of one operation. server ends in a slash, path begins with one and
// is escaped.
func newRequest(server, method, path string, body []byte) (*http.Request, error) {
	base, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	target, err := base.Parse("." + path)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return http.NewRequestWithContext(context.Background(), method, target.String(), http.NoBody)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// pathOf fills the escaped parameters into a path such as "/v1/ops/queues/%s/pause".
func pathOf(format string, parameters ...string) string {
	escaped := make([]any, len(parameters))
	for i, parameter := range parameters {
		escaped[i] = url.PathEscape(parameter)
	}
	return fmt.Sprintf(format, escaped...)
}

// transferPath is the path of a transfer, or of what is below it, such as "/capture".
func transferPath(id uuid.UUID, below string) string {
	return "/v1/transfers/" + id.String() + below
}

// encodeQuery encodes the query parameters of a Params type: the fields with a form tag, without
// those that are nil.
func encodeQuery(params any) string {
	values := make(url.Values)
	for field, value := range reflect.Indirect(reflect.ValueOf(params)).Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("form"), ",")
		if name == "" || value.Kind() == reflect.Pointer && value.IsNil() {
			continue
		}
		values.Set(name, fmt.Sprint(reflect.Indirect(value).Interface()))
	}
	return values.Encode()
}
