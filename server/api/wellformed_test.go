package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

const chunkedLogin = "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

// loginChunks is a chunked body of a log-in that fails.
const loginChunks = "1c\r\n{\"login\":\"a\",\"password\":\"b\"}\r\n0\r\n\r\n"

// malformedRequests are requests that two parsers may read differently. None may be served.
var malformedRequests = map[string]string{
	"Content-Length and Transfer-Encoding": chunkedLogin + "Content-Length: 33\r\nTransfer-Encoding: chunked\r\n\r\n" + loginChunks,
	"Transfer-Encoding and Content-Length": chunkedLogin + "Transfer-Encoding: chunked\r\nContent-Length: 33\r\n\r\n" + loginChunks,
	"two Content-Lengths":                  chunkedLogin + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
	"two different Content-Lengths":        chunkedLogin + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
	"a list of Content-Lengths":            chunkedLogin + "Content-Length: 2, 2\r\n\r\n{}",
	"Content-Length +2":                    chunkedLogin + "Content-Length: +2\r\n\r\n{}",
	"Content-Length 0x2":                   chunkedLogin + "Content-Length: 0x2\r\n\r\n{}",
	"Content-Length empty":                 chunkedLogin + "Content-Length:\r\n\r\n{}",
	"Content-Length negative":              chunkedLogin + "Content-Length: -2\r\n\r\n{}",
	"Transfer-Encoding identity":           chunkedLogin + "Transfer-Encoding: identity\r\n\r\n{}",
	"Transfer-Encoding gzip, chunked":      chunkedLogin + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding chunked, identity":  chunkedLogin + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding xchunked":           chunkedLogin + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding chunked and VT":     chunkedLogin + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding empty":              chunkedLogin + "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
	"two Transfer-Encodings":               chunkedLogin + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding of HTTP/1.0":        "POST /v1/auth/login HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"a space before the colon":             chunkedLogin + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"a tab before the colon":               chunkedLogin + "Content-Length\t: 2\r\n\r\n{}",
	"a chunk size that is no number":       chunkedLogin + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
	"a chunk size with a sign":             chunkedLogin + "Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
	"a chunk size beyond 64 bits":          chunkedLogin + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff2\r\n{}\r\n0\r\n\r\n",
	"a chunk longer than its size":         chunkedLogin + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
	"a bare LF behind a chunk size":        chunkedLogin + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
	"a bare LF behind a chunk":             chunkedLogin + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\n0\r\n\r\n",
	"a forbidden trailer":                  chunkedLogin + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",

	"two Hosts":                "GET /v1/me HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"two equal Hosts":          "GET /v1/me HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n",
	"no Host":                  "GET /v1/me HTTP/1.1\r\nAccept: */*\r\n\r\n",
	"no header at all":         "GET /v1/me HTTP/1.1\r\n\r\n",
	"an empty Host":            "GET /v1/me HTTP/1.1\r\nHost:\r\n\r\n",
	"two hosts in one Host":    "GET /v1/me HTTP/1.1\r\nHost: x, y\r\n\r\n",
	"a user in Host":           "GET /v1/me HTTP/1.1\r\nHost: u@x\r\n\r\n",
	"a path in Host":           "GET /v1/me HTTP/1.1\r\nHost: x/y\r\n\r\n",
	"NUL in a value":           "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
	"NUL in a name":            "GET /v1/me HTTP/1.1\r\nHost: x\r\nX\x00A: b\r\n\r\n",
	"NUL in the path":          "GET /v1/\x00me HTTP/1.1\r\nHost: x\r\n\r\n",
	"a control character":      "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: a\x01b\r\n\r\n",
	"a bare CR in a value":     "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: a\rb\r\n\r\n",
	"a folded field":           "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n",
	"a field folded by a tab":  "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: a\r\n\tb\r\n\r\n",
	"a folded Host":            "GET /v1/me HTTP/1.1\r\nHost:\r\n x\r\n\r\n",
	"a fold in the first line": "GET /v1/me HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n",
	"a folded encoding":        chunkedLogin + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	"bare LF everywhere":       "GET /v1/me HTTP/1.1\nHost: x\n\n",
	"bare LF in the request":   "GET /v1/me HTTP/1.1\nHost: x\r\n\r\n",
	"bare LF in the header":    "GET /v1/me HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
	"bare LF at the end":       "GET /v1/me HTTP/1.1\r\nHost: x\r\n\n",
	"bare LF before":           "\nGET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
	"no colon":                 "GET /v1/me HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
	"no name":                  "GET /v1/me HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
	"a space in a name":        "GET /v1/me HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n",
	"brackets in a name":       "GET /v1/me HTTP/1.1\r\nHost: x\r\nX(A): b\r\n\r\n",
	"two Authorizations":       "GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
	"two Content-Types":        chunkedLogin + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
	"HTTP/0.9":                 "GET /v1/me\r\n\r\n",
	"HTTP/1.2":                 "GET /v1/me HTTP/1.2\r\nHost: x\r\n\r\n",
	"HTTP/2.0":                 "GET /v1/me HTTP/2.0\r\nHost: x\r\n\r\n",
	"two spaces":               "GET  /v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
	"a space at the end":       "GET /v1/me HTTP/1.1 \r\nHost: x\r\n\r\n",
	"a target without a slash": "GET v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
}

// TestMalformedRequestsAreRefused: each is answered with 400 and its connection is closed, so that
// the bytes after it are not read as a request.
func TestMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	for name, request := range malformedRequests {
		conn := h.dial()
		_, err := io.WriteString(conn, request+"GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n")
		testkit.Must(t, err)
		raw, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open after %.200q", name, raw)
			continue
		}
		response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(raw))), nil)
		if err != nil {
			t.Errorf("%s: %v in %q", name, err, raw)
			continue
		}
		body, err := io.ReadAll(response.Body)
		testkit.Must(t, err)
		got := &answer{t, ask{method: "raw", path: name}, response.StatusCode, response.Header, body}
		testkit.Equal(t, "status of "+name, got.status, http.StatusBadRequest)
		if n := strings.Count(string(raw), "\r\nDate: "); n != 1 {
			t.Errorf("%s: %d answers: %.300q", name, n, raw)
		}
		if got.status == http.StatusBadRequest {
			got.wantProblem(read[openapi.Problem](got).Code)
			wantSecureHeader(t, name, got.header)
		}
	}
	t.Logf("%d malformed requests", len(malformedRequests))
}

// TestUnusualRequestsAreServed: RFC 9112 allows them.
func TestUnusualRequestsAreServed(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	const me, login = "GET /v1/me HTTP/1.1\r\n", `{"login":"a","password":"b"}`
	for name, request := range map[string]string{
		"HTTP/1.0 without Host":       "GET /v1/me HTTP/1.0\r\n\r\n",
		"an empty line before":        "\r\n" + me + "Host: x\r\n\r\n",
		"names in lower case":         me + "host: x\r\naccept: */*\r\n\r\n",
		"no space behind the colon":   me + "Host:x\r\n\r\n",
		"spaces around a value":       me + "Host: \t x \t \r\n\r\n",
		"an empty value":              me + "Host: x\r\nX-A:\r\n\r\n",
		"an IPv6 host":                me + "Host: [::1]:7420\r\n\r\n",
		"UTF-8 in a value":            me + "Host: x\r\nX-A: Ü\r\n\r\n",
		"several Accept fields":       me + "Host: x\r\nAccept: a\r\nAccept: b\r\n\r\n",
		"a name of all token marks":   me + "Host: x\r\n!#$%&'*+-.^_`|~9a: b\r\n\r\n",
		"chunked":                     chunkedLogin + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(login), login),
		"Chunked":                     chunkedLogin + fmt.Sprintf("Transfer-Encoding:  Chunked \r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(login), login),
		"LF in the body":              chunkedLogin + fmt.Sprintf("Content-Length: %d\r\n\r\n%s\n\n", len(login)+2, login),
		"a target with a host":        "GET http://x/v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
		"a body without Content-Type": "DELETE /v1/sessions/0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	} {
		if got := h.raw(request); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestRequestsOnOneConnection: the first line is checked however its bytes arrive, and requests on
// one connection do not affect each other.
func TestRequestsOnOneConnection(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	const request = "GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n"
	const withBody = chunkedLogin + "Content-Length: 32\r\n\r\n{\n\n\"login\":\"a\",\"password\":\"b\"\n\n}"
	conn := h.dial()
	answers := bufio.NewReader(conn)
	wantNext := func(what string, status int) {
		t.Helper()
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		testkit.Must(t, err)
		testkit.Equal(t, what, response.StatusCode, status)
	}
	send := func(parts ...string) {
		t.Helper()
		for _, part := range parts {
			_, err := io.WriteString(conn, part)
			testkit.Must(t, err)
		}
	}
	send(request)
	wantNext("the first", http.StatusUnauthorized)
	send(request + request + withBody[:len(withBody)-9])
	send(withBody[len(withBody)-9:] + request)
	for range 2 {
		wantNext("pipelined", http.StatusUnauthorized)
	}
	wantNext("pipelined, with a body in two parts", http.StatusUnauthorized)
	wantNext("the last of them", http.StatusUnauthorized)
	for _, b := range strings.Split(request, "") {
		send(b)
	}
	wantNext("byte by byte", http.StatusUnauthorized)
	for _, b := range strings.Split(strings.Replace(request, "\r\n", "\n", 1), "") {
		if _, err := io.WriteString(conn, b); err != nil {
			break
		}
	}
	wantNext("byte by byte with a bare LF", http.StatusBadRequest)
	if _, err := answers.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection stays open: %v", err)
	}
}

func wantSecureHeader(t *testing.T, what string, header http.Header) {
	t.Helper()
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		testkit.Equal(t, name+" of "+what, header.Get(name), value)
	}
	if policy := header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy of %s: %q", what, policy)
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice := h.signUp("alice")
	for _, path := range []string{"/", "/docs", "/assets/site.css", "/assets/none", "/openapi.yaml", "/.well-known/jwks.json", "/v1/me", "/v1/wallets", "/v1/nonsense", "/nonsense"} {
		got := h.get(alice, path)
		wantSecureHeader(t, path, got.header)
		if policy := got.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") != (path == "/docs") {
			t.Errorf("Content-Security-Policy of %s: %q", path, policy)
		}
	}
	wantSecureHeader(t, "garbage", h.raw("GET\r\n\r\n").header)
	wantSecureHeader(t, "a stream", h.streamHeader(alice))
}

// streamHeader returns the header of an event stream.
func (h *fixture) streamHeader(u *user) http.Header {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+"/v1/events", http.NoBody)
	testkit.Must(h.t, err)
	request.Header.Set("Authorization", "Bearer "+u.access)
	response, err := h.client.Do(request)
	testkit.Must(h.t, err)
	testkit.Must(h.t, response.Body.Close())
	return response.Header
}
