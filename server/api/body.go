package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"reflect"
	"strings"

	"github.com/gofiber/fiber/v2"
)

const (
	maxBody  = 16 << 10 // bytes
	maxDepth = 8        // of nested JSON; the contract's bodies have one
)

// bodies has an empty value for each operation that takes a body, to check it
// against before the generated code reads it (which would forgive unknown and
// doubled fields, and flatten what it does not forgive to a string).
var bodies = map[string]func() any{
	"POST /v1/auth/signup":           func() any { return new(SignUp) },
	"POST /v1/auth/login":            func() any { return new(LogIn) },
	"POST /v1/auth/refresh":          func() any { return new(Refresh) },
	"PATCH /v1/me":                   func() any { return new(UserUpdate) },
	"POST /v1/wallets":               func() any { return new(WalletOpen) },
	"POST /v1/transfers":             func() any { return new(TransferCreate) },
	"POST /v1/transfers/:id/capture": func() any { return new(PartAmount) },
	"POST /v1/transfers/:id/reverse": func() any { return new(PartAmount) },
	"POST /v1/deposits":              func() any { return new(BankTransferCreate) },
	"POST /v1/withdrawals":           func() any { return new(BankTransferCreate) },
}

// checkBody refuses a body that is not exactly what the contract says.
func checkBody(c *fiber.Ctx, next fiber.Handler) error {
	empty, ok := bodies[c.Method()+" "+c.Route().Path]
	if !ok {
		return next(c)
	}
	media, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	if err != nil || media != fiber.MIMEApplicationJSON {
		return faultf(MediaTypeUnsupported, "", "send the body as application/json")
	}
	if err := decodeStrictly(c.Body(), empty()); err != nil {
		return err
	}
	return next(c)
}

// decodeStrictly refuses unknown and doubled fields, null, trailing data and deep
// nesting.
func decodeStrictly(body []byte, into any) error {
	if err := checkTokens(body); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		return checkRequired(body, into)
	}
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return faultf(BodyMalformed, mistyped.Field, fmt.Sprintf("%s must be %s, written plainly: an amount is a whole number of minor units, such as 1250",
			orBody(mistyped.Field), plainType(mistyped.Type.Kind().String())))
	}
	// Left are unknown fields and values that a type refuses, such as a bad time;
	// encoding/json quotes them.
	return faultf(BodyMalformed, "", strings.TrimPrefix(err.Error(), "json: "))
}

func orBody(field string) string {
	if field == "" {
		return "the body"
	}
	return field
}

func plainType(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"):
		return "an integer"
	case kind == "bool":
		return "true or false"
	case kind == "string":
		return "a string"
	default:
		return "an object"
	}
}

// checkTokens walks the JSON once for what a decoder into a struct does not see.
func checkTokens(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := checkValue(decoder, 0); err != nil {
		if _, ours := errors.AsType[*fault](err); ours {
			return err
		}
		return faultf(BodyMalformed, "", "the body is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return faultf(BodyMalformed, "", "the body goes on after its JSON value")
	}
	return nil
}

func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token {
	case nil:
		return faultf(BodyMalformed, "", "leave a field out rather than sending null")
	case json.Delim('{'):
		return checkObject(decoder, depth+1)
	case json.Delim('['):
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
	if depth > maxDepth {
		return faultf(BodyMalformed, "", "the body is nested too deeply")
	}
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		// Folded, since encoding/json matches names without regard to case.
		if folded := strings.ToLower(name); seen[folded] {
			return faultf(BodyMalformed, "", fmt.Sprintf("the field %q is there twice", name))
		} else {
			seen[folded] = true
		}
		if err := checkValue(decoder, depth); err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return err
}

// checkRequired refuses a body that leaves out a field without which the contract
// has no meaning for it: one that the generated struct does not mark omitempty.
func checkRequired(body []byte, into any) error {
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		return faultf(BodyMalformed, "", "the body must be an object")
	}
	for field := range reflect.TypeOf(into).Elem().Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, ok := sent[name]; !ok && !strings.Contains(options, "omitempty") {
			return faultf(BodyMalformed, name, fmt.Sprintf("the field %q is missing", name))
		}
	}
	return nil
}
