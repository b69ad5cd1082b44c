package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// decode decodes an answer. An answer without a field that the contract requires is an error: {} is
// valid JSON, and would otherwise be an empty wallet or a user created in the year 1.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return err
	}
	return complete(body, reflect.TypeOf(into).Elem(), "the answer")
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// complete returns an error for a required part that a document lacks. A field of a generated type
// is required if its tag has no omitempty; it may be null if it is a pointer.
func complete(document json.RawMessage, t reflect.Type, name string) error {
	if isNull(document) {
		if t.Kind() == reflect.Pointer {
			return nil
		}
		return fmt.Errorf("%s is missing", name)
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return completeObject(document, t, name)
	case reflect.Slice:
		var items []json.RawMessage
		if t.Elem().Kind() == reflect.Uint8 {
			return nil // bytes, encoded as a string
		}
		if err := json.Unmarshal(document, &items); err != nil {
			return fmt.Errorf("%s is not a list", name)
		}
		for i, item := range items {
			if err := complete(item, t.Elem(), fmt.Sprintf("%s[%d]", name, i)); err != nil {
				return err
			}
		}
	default:
	}
	return nil
}

func completeObject(document json.RawMessage, t reflect.Type, name string) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil {
		return fmt.Errorf("%s is not an object", name)
	}
	for i := range t.NumField() {
		field := t.Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		path := strings.TrimPrefix(name+"."+key, "the answer.")
		member, present := members[key]
		optional := strings.Contains(options, "omitempty")
		switch {
		case !present && !optional:
			return fmt.Errorf("%s is missing", path)
		case !present, optional && isNull(member):
			continue
		}
		if err := complete(member, field.Type, path); err != nil {
			return err
		}
	}
	return nil
}

func isNull(document json.RawMessage) bool {
	return len(document) == 0 || bytes.Equal(bytes.TrimSpace(document), []byte("null"))
}

// protocolError returns the error for an answer that the contract does not allow.
func (c *Client) protocolError(cause error) error {
	return &ProtocolError{Server: c.Server(), Err: cause}
}

// checkNoContent checks the answer to an operation that has no result. Without this check, any page
// of a proxy with status 200 would count as success.
func (c *Client) checkNoContent(a *answer) error {
	if a.status != http.StatusNoContent {
		return c.protocolError(fmt.Errorf("status %d instead of %d", a.status, http.StatusNoContent))
	}
	return nil
}
