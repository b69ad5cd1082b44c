package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

// raw sends bytes that net/http would not send, and reads one answer.
func (h *fixture) raw(request string) *answer {
	h.t.Helper()
	conn := h.dial()
	_, err := io.WriteString(conn, request)
	testkit.Must(h.t, err)
	return h.rawAnswer(conn, request)
}

func (h *fixture) dial() net.Conn {
	h.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	testkit.Must(h.t, err)
	testkit.Must(h.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (h *fixture) rawAnswer(conn io.Reader, request string) *answer {
	h.t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.t.Fatalf("%.200q: %v", request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	testkit.Must(h.t, err)
	return &answer{h.t, ask{method: "raw", path: fmt.Sprintf("%.60q", request)}, response.StatusCode, response.Header, body}
}

func rawPost(u *user, key string, headers ...string) string {
	const body = `{"to":"@bob","amount":1,"currency":"USD"}`
	return "POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + u.access +
		"\r\nIdempotency-Key: " + key + "\r\n" + strings.Join(headers, "") + "Content-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
}

func TestRawRequests(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	alice, bob := h.pair(1000)
	h.raw(rawPost(alice, uuid.NewString())).want(201)
	before := h.rows()
	for _, key := range []string{"a\x01b", "a\x1b[31m", "a\x7fb", "a\x80b", "a\x00b", "a\u200bb"} {
		got := h.raw(rawPost(alice, key))
		testkit.Equal(t, fmt.Sprintf("key %q", key), got.status, 400)
		read[openapi.Problem](got)
	}
	h.raw(rawPost(alice, "one", "Idempotency-Key: two\r\n")).wantProblem(openapi.IdempotencyKeyMalformed)
	h.raw(rawPost(alice, "one", "idempotency-key:\r\n")).wantProblem(openapi.IdempotencyKeyMalformed)
	// An empty Content-Encoding must not hide a second one.
	h.raw(rawPost(alice, "one", "Content-Encoding:\r\nContent-Encoding: gzip\r\n")).wantProblem(openapi.MediaTypeUnsupported)
	for _, id := range []string{"a\x01b", "a\x1b]0;x\x07", "a\x80"} {
		got := h.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Request-Id: " + id + "\r\n\r\n")
		testkit.Equal(t, "status", got.status/100, 4)
		testkit.Equal(t, "echo", got.header.Get("X-Request-Id") == id, false)
	}
	// A header field that is echoed must not add another one to the answer.
	got := h.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\r\nSet-Cookie: evil=1\r\n\r\n")
	testkit.Equal(t, "Set-Cookie", got.header.Get("Set-Cookie"), "")
	for _, garbage := range []string{
		"GET\r\n\r\n",
		"GET /v1/me HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 20_000) + "\r\n\r\n",
		"GET /" + strings.Repeat("a", 20_000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
		"POST /v1/transfers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		got := h.raw(garbage)
		if got.status < 400 || got.status >= 500 && got.status != 501 {
			t.Errorf("%q: status %d %s", garbage[:20], got.status, got.body)
		}
		testkit.Equal(t, "media type", got.header.Get("Content-Type"), "application/problem+json")
		p := read[openapi.Problem](got)
		testkit.Equal(t, "control characters in the detail", strings.ContainsAny(p.Detail, "\x1b\x07\r\n"), false)
		testkit.Equal(t, "an id", p.RequestId != nil && *p.RequestId != "", true)
	}
	// Fiber itself rejects these, before any handler.
	for _, method := range []string{"FETCH", "\x1b]52;c;cm0gLXJmIH4=\x07", "get"} {
		testkit.Equal(t, "status of "+method, h.raw(method+" /v1/me HTTP/1.1\r\nHost: x\r\n\r\n").status, 400)
	}
	h.wantUntouched("garbage", before)
	h.wantBalance(bob, 1, 0)
}

// TestLargeBodyIsAnsweredWithoutReset: a client may send the rest of a body that is too large.
func TestLargeBodyIsAnsweredWithoutReset(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	conn := h.dial()
	chunk := strings.Repeat(" ", 32<<10)
	_, err := fmt.Fprintf(conn, "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 1<<20, chunk)
	testkit.Must(t, err)
	h.rawAnswer(conn, "1 MiB").wantProblem(openapi.BodyTooLarge)
	for range 1<<20/len(chunk) - 1 {
		if _, err := io.WriteString(conn, chunk); err != nil {
			t.Fatalf("the connection was reset: %v", err)
		}
	}
}

// TestSlowRequestsAreClosed: a client that sends a byte now and then does not keep a connection.
func TestSlowRequestsAreClosed(t *testing.T) {
	t.Parallel()
	h := newFixture(t, func(o *options) { o.before = func(a *api.API) { a.SetReadTimeout(300 * time.Millisecond) } })
	alice, _ := h.pair(1000)
	before := h.rows()
	whole := rawPost(alice, uuid.NewString())
	for name, until := range map[string]int{"header": 40, "body": len(whole) - 30} {
		conn := h.dial()
		_, err := io.WriteString(conn, whole[:until])
		testkit.Must(t, err)
		closed := make(chan struct{})
		go func() { // sends a byte every 50 ms until the connection is closed
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				select {
				case <-closed:
					return
				default:
					if _, err := io.WriteString(conn, " "); err != nil {
						return
					}
				}
			}
		}()
		started := time.Now()
		raw, _ := io.ReadAll(conn) // until it is closed, with or without a reset
		close(closed)
		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("%s: closed after %v", name, took)
		}
		if _, body, found := strings.Cut(string(raw), "\r\n\r\n"); found {
			var p openapi.Problem
			testkit.Must(t, json.Unmarshal([]byte(body), &p))
			testkit.Equal(t, "code", p.Code, openapi.Unavailable)
		}
	}
	h.wantUntouched("a slow request", before)
	h.get(alice, "/v1/me").want(200)
	if strings.Contains(h.log.String(), `"level":"ERROR"`) {
		t.Errorf("slow requests are logged as errors:\n%s", h.log)
	}
}
