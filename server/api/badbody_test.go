package api_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

func TestBadBodies(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, _ := h.pair(1000)
	const good = `{"to":"@bob","amount":1,"currency":"USD"}`
	for what, body := range map[string]string{
		"not JSON":               `to=@bob&amount=1`,
		"cut short":              good[:20],
		"trailing object":        good + good,
		"trailing bracket":       good + "}",
		"trailing word":          good + " x",
		"trailing NUL":           good + "\x00",
		"byte order mark":        "\ufeff" + good,
		"UTF-16":                 "\xff\xfe{\x00}\x00",
		"comment":                `{/*c*/"to":"@bob","amount":1,"currency":"USD"}`,
		"trailing comma":         `{"to":"@bob","amount":1,"currency":"USD",}`,
		"single quotes":          `{'to':'@bob'}`,
		"array":                  "[" + good + "]",
		"string":                 `"@bob"`,
		"number":                 "7",
		"null":                   "null",
		"empty object":           "{}",
		"spaces alone":           "   ",
		"unknown field":          `{"to":"@bob","amount":1,"currency":"USD","fee":0}`,
		"unknown field with ESC": `{"to":"@bob","amount":1,"currency":"USD","\u001b]52;c;x":0}`,
		"long unknown field":     `{"to":"@bob","amount":1,"currency":"USD","` + strings.Repeat("x", 5000) + `":0}`,
		"unnamed field":          `{"to":"@bob","amount":1,"currency":"USD","":0}`,
		"the Go name":            `{"to":"@bob","amount":1,"currency":"USD","DryRun":true}`,
		"doubled":                `{"to":"@bob","amount":1,"amount":500,"currency":"USD"}`,
		"doubled, escaped":       `{"to":"@bob","amount":1,"\u0061mount":500,"currency":"USD"}`,
		"doubled, other case":    `{"to":"@bob","amount":1,"AMOUNT":500,"currency":"USD"}`,
		"doubled, long s":        `{"to":"@bob","amount":1,"currency":"USD","authorize":true,"expires_at":"2030-01-01T00:00:00Z","expire\u017f_at":"2031-01-01T00:00:00Z"}`,
		"other case":             `{"to":"@bob","amount":1,"currency":"USD","MEMO":"x"}`,
		"other case, required":   `{"TO":"@bob","amount":1,"currency":"USD"}`,
		"null field":             `{"to":"@bob","amount":1,"currency":"USD","memo":null}`,
		"nested objects":         strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000),
		"nested arrays":          `{"to":` + strings.Repeat("[", 7000) + strings.Repeat("]", 7000) + "}",
		"nested, never closed":   strings.Repeat("[", 16_000),
		"no to":                  `{"amount":1,"currency":"USD"}`,
		"no currency":            `{"to":"@bob","amount":1}`,
	} {
		h.wantRefused(what, alice.asks("/v1/transfers", body), openapi.BodyMalformed)
	}
	empty := alice.asks("/v1/transfers", "")
	empty.headers = map[string]string{"Content-Type": "application/json"}
	h.wantRefused("empty", empty, openapi.BodyMalformed)
	h.wantRefused("none", alice.asks("/v1/transfers", nil), openapi.MediaTypeUnsupported)
	for _, path := range []string{"/v1/deposits", "/v1/withdrawals"} {
		h.wantRefused("to a bank", alice.asks(path, good), openapi.BodyMalformed)
	}
	h.post(alice, "/v1/transfers", "\r\n\t "+good+" \n").want(201)
}

func TestBadMediaTypes(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	for media, ok := range map[string]bool{
		"application/json":                  true,
		"application/json; charset=utf-8":   true,
		"Application/JSON":                  true,
		"text/plain":                        false,
		"text/json":                         false,
		"application/x-www-form-urlencoded": false,
		"multipart/form-data; boundary=x":   false,
		"application/xml":                   false,
		"application/problem+json":          false,
		"application/json, application/xml": false,
		"application/json; charset":         false,
		" ":                                 false,
	} {
		request := alice.asks("/v1/transfers", pay(bob, 1))
		request.headers = map[string]string{"Content-Type": media}
		if ok {
			h.do(request).want(201)
			continue
		}
		h.wantRefused(media, request, openapi.MediaTypeUnsupported)
	}
}

// TestEncodedBodiesAreRejected: Fiber would decompress a body without a bound.
func TestEncodedBodiesAreRejected(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	bomb := fmt.Appendf(nil, `{"to":"@bob","amount":1,"currency":"USD"%s}`, strings.Repeat(" ", 1<<24))
	for range 2 {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(bomb)
		testkit.Must(t, err)
		testkit.Must(t, w.Close())
		bomb = packed.Bytes()
	}
	for _, encoding := range []string{"gzip", "gzip, gzip", "br", "deflate", "identity", "x"} {
		request := alice.asks("/v1/transfers", bytes.NewReader(bomb))
		request.headers = map[string]string{"Content-Encoding": encoding}
		h.wantRefused(encoding, request, openapi.MediaTypeUnsupported)
	}
	testkit.Equal(t, "alice's balance", h.wallet(alice).Balance, 1000)
	testkit.Equal(t, "bob's balance", h.wallet(bob).Balance, 0)
}

func TestBodySize(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	sized := func(size int) string {
		const body = `{"to":"@bob","amount":1,"currency":"USD"}`
		return body + strings.Repeat(" ", size-len(body))
	}
	h.post(alice, "/v1/transfers", sized(api.MaxBody)).want(201)
	for _, size := range []int{api.MaxBody + 1, 1 << 20} {
		h.wantRefused(fmt.Sprint(size, " bytes"), alice.asks("/v1/transfers", sized(size)), openapi.BodyTooLarge)
		chunked := io.MultiReader(strings.NewReader(sized(size))) // of unknown length
		h.wantRefused(fmt.Sprint(size, " bytes in chunks"), alice.asks("/v1/transfers", chunked), openapi.BodyTooLarge)
		// An anonymous caller may not send it either.
		h.wantRefused("anonymous", ask{method: "POST", path: "/v1/auth/login", body: sized(size)}, openapi.BodyTooLarge)
	}
	h.post(alice, "/v1/transfers", io.MultiReader(strings.NewReader(sized(100)))).want(201) // chunks are fine
	h.wantBalance(bob, 2, 0)
}
