package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api/internal/routes"
	"github.com/JDevAman/kizo/server/ledger"
)

const (
	maxBody  = 16 << 10 // bytes
	maxDepth = 8        // levels of nested JSON; the bodies of the contract have three

	maxBatchBody = 256 << 10       // bytes
	maxRows      = ledger.MaxGroup // objects in a list
)

// checkBody rejects a body that is not exactly what the contract says, and decodes it for the
// generated code.
func checkBody(c *fiber.Ctx) error {
	empty := operationOf(c).body
	if empty == nil {
		return c.Next()
	}
	if !isJSON(c.Request().Header.ContentType()) {
		return reject(openapi.MediaTypeUnsupported, "Content-Type", "send the body as Content-Type: application/json")
	}
	// Fiber would decompress it without a bound, layer by layer: 16 KiB of gzip in gzip can become
	// gigabytes.
	if len(c.Request().Header.PeekAll(fiber.HeaderContentEncoding)) > 0 {
		return reject(openapi.MediaTypeUnsupported, "Content-Encoding", "send the body as it is, without Content-Encoding")
	}
	body := empty()
	if err := decodeStrictly(c.Request().Body(), body); err != nil {
		return err
	}
	c.Locals(routes.BodyLocal, body)
	return c.Next()
}

// isJSON reports whether a Content-Type is application/json, with any parameters.
func isJSON(contentType []byte) bool {
	if string(contentType) == fiber.MIMEApplicationJSON {
		return true
	}
	media, _, err := mime.ParseMediaType(string(contentType))
	return err == nil && media == fiber.MIMEApplicationJSON
}

// decodeStrictly decodes a body into a pointer to one of the contract's structs. It rejects unknown
// and repeated fields, names in another case, null, trailing data, deep nesting and text that is
// not Unicode, because two parsers can read such a body differently.
func decodeStrictly(body []byte, into any) error {
	sent, ok := plainMembers(body)
	if !ok {
		var err error
		if sent, err = anyMembers(body); err != nil {
			return err
		}
	}
	return sent.decode(into)
}

// anyMembers returns the members of a JSON object with any content.
func anyMembers(body []byte) (members, error) {
	if err := checkTokens(body); err != nil {
		return nil, err
	}
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, reject(openapi.BodyMalformed, "", "the body must be a JSON object, in braces")
	}
	all := make(members, 0, len(sent))
	for name, raw := range sent {
		all = append(all, member{name: name, raw: raw})
	}
	return all, nil
}

// members are the members of a JSON object. Each name is there once.
type members []member

type member struct {
	name string
	raw  []byte
	rows []members // of a list of plain objects; else nil
}

func (m members) find(name string) *member {
	for i := range m {
		if m[i].name == name {
			return &m[i]
		}
	}
	return nil
}

// decode decodes the members into a pointer to a struct that has a field for each of them.
func (m members) decode(into any) error {
	target := reflect.ValueOf(into).Elem()
	known := fieldsOf(target.Type())
	decoded := 0
	for i, field := range known {
		one := m.find(field.name)
		switch {
		case one == nil && !field.optional:
			return reject(openapi.BodyMalformed, field.name, fmt.Sprintf("the field %q is missing", field.name))
		case one == nil:
			continue
		}
		decoded++
		value := target.Field(i)
		if field.list {
			if err := decodeEach(one, value); err != nil {
				return err
			}
			continue
		}
		if err := decodeValue(one.raw, value.Addr().Interface()); err != nil {
			return reject(openapi.BodyMalformed, field.name, field.name+" must be "+plainType(value.Type()))
		}
	}
	if decoded == len(m) {
		return nil
	}
	return unknownField(m, known)
}

// unknownField returns the error for the first member that is no known field.
func unknownField(m members, known []field) error {
	names := make([]string, len(known))
	for i, field := range known {
		names[i] = field.name
	}
	for _, one := range m {
		if !slices.Contains(names, one.name) {
			return reject(openapi.BodyMalformed, "", fmt.Sprintf("there is no field %q here: leave it out; there are %s",
				shortened(one.name), strings.Join(names, ", ")))
		}
	}
	return nil
}

// field is what the contract says about a member of an object.
type field struct {
	name     string
	optional bool
	list     bool // of objects
}

// fieldsByType caches the result of fieldsOf: the contract has few types of bodies.
var fieldsByType sync.Map // reflect.Type to []field

// fieldsOf returns the fields of a struct of the contract, in the order of the struct.
func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldsByType.Load(t); ok {
		return cached.([]field) //nolint:forcetypeassert // nothing else is stored
	}
	fields := make([]field, 0, t.NumField())
	for of := range t.Fields() {
		name, options, _ := strings.Cut(of.Tag.Get("json"), ",")
		list := of.Type.Kind() == reflect.Slice && of.Type.Elem().Kind() == reflect.Struct
		fields = append(fields, field{name, strings.Contains(options, "omitempty"), list})
	}
	fieldsByType.Store(t, fields)
	return fields
}

// decodeValue is json.Unmarshal for a valid value. It reads plain texts and whole numbers without a
// parser.
func decodeValue(raw []byte, into any) error {
	switch into := into.(type) {
	case *string:
		if text, ok := plainText(raw); ok {
			*into = text
			return nil
		}
	case **string:
		if text, ok := plainText(raw); ok {
			*into = &text
			return nil
		}
	case *int64:
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			*into = n
			return nil
		}
	}
	return json.Unmarshal(raw, into)
}

// plainText returns the content of a JSON text of ASCII characters without escapes.
func plainText(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	content := raw[1 : len(raw)-1]
	for _, c := range content {
		if c < ' ' || c == '\\' || c > '~' {
			return "", false
		}
	}
	return string(content), true
}

// decodeEach reads a list of objects as decodeStrictly reads one. The fields of an error are named
// as in transfers[3].amount.
func decodeEach(list *member, into reflect.Value) error {
	name, rows := list.name, list.rows
	if rows == nil {
		var raws []json.RawMessage
		if err := json.Unmarshal(list.raw, &raws); err != nil {
			return reject(openapi.BodyMalformed, name, name+" must be a list of objects, in brackets")
		}
		rows = make([]members, len(raws))
		for i := range raws[:min(len(raws), maxRows)] {
			row, err := anyMembers(raws[i])
			if err != nil {
				return inRow(err, name, i)
			}
			rows[i] = row
		}
	}
	if len(rows) == 0 || len(rows) > maxRows {
		return reject(openapi.BodyMalformed, name, fmt.Sprintf("%s must have 1 to %d objects", name, maxRows))
	}
	into.Set(reflect.MakeSlice(into.Type(), len(rows), len(rows)))
	for i, row := range rows {
		if err := row.decode(into.Index(i).Addr().Interface()); err != nil {
			return inRow(err, name, i)
		}
	}
	return nil
}

// inRow names the object of a list in an error about it.
func inRow(err error, list string, i int) error {
	if f, ok := errors.AsType[*requestError](err); ok {
		place := fmt.Sprintf("%s[%d]", list, i)
		f.detail, f.field = place+": "+f.detail, strings.TrimSuffix(place+"."+f.field, ".")
	}
	return err
}

// shortened returns the name, cut after 40 characters.
func shortened(name string) string {
	const maxLen = 40
	if runes := []rune(name); len(runes) > maxLen {
		return string(runes[:maxLen]) + "…"
	}
	return name
}

// plainType describes the values of a field to a person.
func plainType(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "a time as in RFC 3339, such as \"2026-01-31T12:00:00Z\""
	case t.Kind() == reflect.Int64:
		return "a whole number of minor units, written plainly: 1250 for 12.50 USD"
	case t.Kind() == reflect.Int:
		return "a whole number, such as 3600"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "a list of texts, in brackets, such as [\"read\"]"
	default:
		return "text, in double quotes"
	}
}

// checkTokens checks JSON for what a decoder into a struct does not notice.
func checkTokens(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		if _, described := errors.AsType[*requestError](err); described {
			return err
		}
		return reject(openapi.BodyMalformed, "", "the body is not JSON: send one object, in braces, with its names and text in double quotes")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return reject(openapi.BodyMalformed, "", "the body continues after its JSON value: send one object and nothing else")
	}
	return nil
}

func checkValue(decoder *json.Decoder, depth int) error {
	if depth > maxDepth {
		return reject(openapi.BodyMalformed, "", "the body is nested too deeply: its fields are plain values")
	}
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case nil:
		return reject(openapi.BodyMalformed, "", "leave a field out rather than sending null")
	case string:
		return checkString(token)
	case json.Delim:
		if token == '{' {
			return checkObject(decoder, depth+1)
		}
		for decoder.More() {
			if err := checkValue(decoder, depth+1); err != nil {
				return err
			}
		}
		_, err = decoder.Token()
		return err
	}
	return nil
}

func checkObject(decoder *json.Decoder, depth int) error {
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if err := checkString(name); err != nil {
			return err
		}
		if seen[name] {
			return reject(openapi.BodyMalformed, "", fmt.Sprintf("the field %q is there twice: send it once", shortened(name)))
		}
		seen[name] = true
		if err := checkValue(decoder, depth); err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return err
}

// checkString rejects bytes that are not UTF-8 and half a surrogate pair, such as "\ud800".
// encoding/json decodes both as U+FFFD, so that the sender would not get back what they sent.
func checkString(text string) error {
	if strings.ContainsRune(text, utf8.RuneError) {
		return reject(openapi.BodyMalformed, "", "the body contains text that is not valid UTF-8 (or U+FFFD, or half of a \\u pair): leave it out")
	}
	return nil
}
