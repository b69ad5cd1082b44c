// Package wire reads JSON objects of another system strictly:
//
//	{"status":"executed","status":"rejected"}   a name twice       → error
//	{"Status":"executed"}                       another name       → missing
//	{"amount":1e3} {"amount":null} {"amount":"1"}                  → error
//	{…}{…}  {…}x                                trailing data      → error
//
// Package encoding/json alone accepts a name twice, in any case, and null for any value. Both
// bank and its mock use this package. It imports the standard library only, and does not know
// what the fields mean.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Fields are the members of one object. Err returns the error of the first field that could not be
// read; later reads return zero values.
type Fields struct {
	raw map[string]json.RawMessage
	err error
}

// Parse splits one JSON object into its members. The caller bounds the length of data.
func Parse(data []byte) (*Fields, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	f := &Fields{raw: make(map[string]json.RawMessage, 12)}
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, errors.New("not well-formed JSON")
		}
		if _, twice := f.raw[name]; twice {
			return nil, errors.New("a field appears twice")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("not well-formed JSON")
		}
		f.raw[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("not well-formed JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the JSON object")
	}
	return f, nil
}

// Err returns the first error of any read, or nil.
func (f *Fields) Err() error { return f.err }

// Only makes any other name an error.
func (f *Fields) Only(names ...string) {
	for name := range f.raw {
		if !slices.Contains(names, name) {
			f.fail(errors.New("unknown field")) // its name is foreign text and stays out of the error
		}
	}
}

// Text reads a required string.
func (f *Fields) Text(name string) string {
	raw, ok := f.need(name)
	if !ok {
		return ""
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		f.fail(fmt.Errorf("%s is not a string", name))
	}
	return s
}

// OptionalText reads a string. It is empty if the field is missing or null.
func (f *Fields) OptionalText(name string) string {
	if raw, ok := f.raw[name]; !ok || string(raw) == "null" {
		return ""
	}
	return f.Text(name)
}

// Int reads a required integer without fraction, exponent or quotes.
func (f *Fields) Int(name string) int64 {
	raw, ok := f.need(name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		f.fail(fmt.Errorf("%s is not an integer", name))
	}
	return n
}

// Time reads a required RFC 3339 time and converts it to UTC.
func (f *Fields) Time(name string) time.Time {
	s := f.Text(name)
	if f.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		f.fail(fmt.Errorf("%s is not an RFC 3339 time", name))
	}
	return t.UTC()
}

// List reads a required array and does not read its elements.
func (f *Fields) List(name string) []json.RawMessage {
	raw, ok := f.need(name)
	if !ok {
		return nil
	}
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		f.fail(fmt.Errorf("%s is not a list", name))
	}
	return list
}

// need returns a required field. ok is false after any error.
func (f *Fields) need(name string) (json.RawMessage, bool) {
	raw, ok := f.raw[name]
	if !ok {
		f.fail(fmt.Errorf("%s is missing", name))
	}
	return raw, ok && f.err == nil
}

func (f *Fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}
