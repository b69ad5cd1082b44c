package api_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

// FuzzBody: another parser reads what decodeStrictly accepts the same way, and so does
// decodeStrictly after it has been encoded again.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"to":"@bob","amount":1250,"currency":"USD","memo":"lunch","dry_run":false}`,
		`{"to":"@bob","amount":1,"currency":"USD","authorize":true,"expires_at":"2026-01-31T12:00:00.123456789+02:00"}`,
		`{"to":"@bob","amount":1,"AMOUNT":2,"currency":"USD"}`,
		`{"to":"\ud83d\ude00 \u0000","amount":-0,"currency":""}`,
		`{"to":"\ud800","amount":1e3,"currency":null}`,
		`{"expire\u017f_at":"2026-01-31T12:00:00Z"}`,
		`[[[[{}]]]] {}`,
		"\ufeff{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var first, second openapi.TransferCreate
		if err := api.DecodeStrictly(body, &first); err != nil {
			if p := api.Describe(err); p.Status != 400 || p.Detail == "" {
				t.Fatalf("%v is not a bad request", err)
			}
			return
		}
		again, err := json.Marshal(first)
		testkit.Must(t, err)
		if err := api.DecodeStrictly(again, &second); err != nil {
			t.Fatalf("%s was accepted, but not when encoded again: %s: %v", body, again, err)
		}
		if a, b := meaning(t, body), meaning(t, again); !maps.Equal(a, b) {
			t.Fatalf("%s means\n%v, encoded again it means\n%v", body, a, b)
		}
	})
}

// FuzzPlainBody: what plainMembers accepts, anyMembers reads the same way.
func FuzzPlainBody(f *testing.F) {
	for _, seed := range []string{
		`{"to":"@bob","amount":1250,"currency":"USD"}`, ` { "a" : -0.5e3 , "b":true,"c":"" } `, `{"a":1,"a":2}`, `{"a":01}`, `{"a":nul}`,
		`{"a":"\u0041"}`, `{"a":{}}`, `{"a":1}x`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":1 2}`, "{\"a\":\"\x7f\"}", `{"a":"é"}`, `{"a":tru}`,
		`{"atomic":true,"rows":[{"to":"@bob","amount":1} , {"to":"@ada"} ]}`, `{"a":[{"b":1},]}`, `{"a":[]}`, `{"a":[1]}`, `{"a":[{"b":[{"c":1}]}]}`, `{"a":[{"b":1]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		short, ok := api.PlainMembers(body)
		if !ok {
			return
		}
		long, err := api.AnyMembers(body)
		if err != nil {
			t.Fatalf("%q passes the short way and not the long one: %v", body, err)
		}
		if !maps.Equal(short, long) {
			t.Fatalf("%q is %v the short way and %v the long one", body, short, long)
		}
	})
}

func BenchmarkBody(b *testing.B) {
	batch := func(memo string) string {
		row := `{"idempotency_key":"01a21e73-fe5b-7ec7-b640-dde145173f26","to":"@load_000123","amount":1250,"currency":"USD","memo":"` + memo + `"}`
		return `{"transfers":[` + row + strings.Repeat(","+row, 99) + `]}`
	}
	for _, c := range []struct {
		name, body string
		into       func() any
	}{
		{"plain", `{"to":"@load_000123","amount":1250,"currency":"USD"}`, func() any { return new(openapi.TransferCreate) }},
		{"any", `{"to":"@load_000123","amount":1250,"currency":"USD","memo":"caf\u00e9"}`, func() any { return new(openapi.TransferCreate) }},
		{"plain batch of 100", batch("coffee"), func() any { return new(openapi.TransferBatch) }},
		{"any batch of 100", batch(`caf\u00e9`), func() any { return new(openapi.TransferBatch) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := api.DecodeStrictly([]byte(c.body), c.into()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// meaning decodes a body without its schema.
func meaning(t *testing.T, body []byte) map[string]string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.UseNumber()
	var loose map[string]any
	testkit.Must(t, decoder.Decode(&loose))
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("%s continues after its value", body)
	}
	plain := make(map[string]string, len(loose))
	for name, value := range loose {
		switch v := value.(type) {
		case json.Number:
			number, ok := new(big.Rat).SetString(v.String())
			if !ok {
				t.Fatalf("%s is not a number", v)
			}
			plain[name] = number.String()
		case string:
			plain[name] = v
			if at, err := time.Parse(time.RFC3339Nano, v); err == nil && name == "expires_at" {
				plain[name] = at.UTC().Format(time.RFC3339Nano)
			}
		case bool:
			plain[name] = map[bool]string{true: "true", false: "false"}[v]
		default:
			t.Fatalf("%s was accepted with a %T", body, v)
		}
	}
	return plain
}
