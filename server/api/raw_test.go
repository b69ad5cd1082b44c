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

	"github.com/JDevAman/kizo/openapi"
	"github.com/JDevAman/kizo/server/api"
)

// raw sends bytes that net/http would not, and reads one answer.
func (h *house) raw(request string) *answer {
	h.t.Helper()
	conn := h.dial()
	_, err := io.WriteString(conn, request)
	must(h.t, err)
	return h.rawAnswer(conn, request)
}

func (h *house) dial() net.Conn {
	h.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", strings.TrimPrefix(h.url, "http://"))
	must(h.t, err)
	must(h.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (h *house) rawAnswer(conn io.Reader, request string) *answer {
	h.t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.t.Fatalf("%.200q: %v", request, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(h.t, err)
	return &answer{h.t, ask{method: "raw", path: fmt.Sprintf("%.60q", request)}, response.StatusCode, response.Header, body}
}

func rawPost(u *user, key string, headers ...string) string {
	const body = `{"to":"@bob","amount":1,"currency":"USD"}`
	return "POST /v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + u.access +
		"\r\nIdempotency-Key: " + key + "\r\n" + strings.Join(headers, "") + "Content-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
}

func TestRawRequests(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.pair(1000)
	h.raw(rawPost(alice, uuid.NewString())).want(201)
	before := h.rows()
	for _, key := range []string{"a\x01b", "a\x1b[31m", "a\x7fb", "a\x80b", "a\x00b", "a\u200bb"} {
		got := h.raw(rawPost(alice, key))
		equal(t, fmt.Sprintf("key %q", key), got.status, 400)
		read[openapi.Problem](got)
	}
	h.raw(rawPost(alice, "one", "Idempotency-Key: two\r\n")).wantProblem(openapi.IdempotencyKeyMalformed)
	h.raw(rawPost(alice, "one", "idempotency-key:\r\n")).wantProblem(openapi.IdempotencyKeyMalformed)
	// An empty header first must not hide a packing one behind it.
	h.raw(rawPost(alice, "one", "Content-Encoding:\r\nContent-Encoding: gzip\r\n")).wantProblem(openapi.MediaTypeUnsupported)
	for _, id := range []string{"a\x01b", "a\x1b]0;x\x07", "a\x80"} {
		got := h.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Request-Id: " + id + "\r\n\r\n")
		equal(t, "status", got.status/100, 4)
		equal(t, "echo", got.header.Get("X-Request-Id") == id, false)
	}
	// A header cannot be smuggled in through one that is echoed.
	got := h.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\r\nSet-Cookie: evil=1\r\n\r\n")
	equal(t, "Set-Cookie", got.header.Get("Set-Cookie"), "")
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
		equal(t, "media type", got.header.Get("Content-Type"), "application/problem+json")
		p := read[openapi.Problem](got)
		equal(t, "control characters in the detail", strings.ContainsAny(p.Detail, "\x1b\x07\r\n"), false)
		equal(t, "an id", p.RequestId != nil && *p.RequestId != "", true)
	}
	// Fiber itself answers these, before any handler.
	for _, method := range []string{"FETCH", "\x1b]52;c;cm0gLXJmIH4=\x07", "get"} {
		equal(t, "status of "+method, h.raw(method+" /v1/me HTTP/1.1\r\nHost: x\r\n\r\n").status, 400)
	}
	h.wantUntouched("garbage", before)
	h.wantBalance(bob, 1, 0)
}

// A caller may finish sending what is too large: the answer is not lost in a reset.
func TestTooLargeIsAnsweredWithoutAReset(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	conn := h.dial()
	chunk := strings.Repeat(" ", 32<<10)
	_, err := fmt.Fprintf(conn, "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 1<<20, chunk)
	must(t, err)
	h.rawAnswer(conn, "1 MiB").wantProblem(openapi.BodyTooLarge)
	for range 1<<20/len(chunk) - 1 {
		if _, err := io.WriteString(conn, chunk); err != nil {
			t.Fatalf("the connection was reset: %v", err)
		}
	}
}

// Somebody who sends a byte now and then does not keep a connection.
func TestSlowDripIsClosed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *options) { o.before = func(a *api.API) { a.SetReadTimeout(300 * time.Millisecond) } })
	alice, _ := h.pair(1000)
	before := h.rows()
	whole := rawPost(alice, uuid.NewString())
	for name, until := range map[string]int{"header": 40, "body": len(whole) - 30} {
		conn := h.dial()
		_, err := io.WriteString(conn, whole[:until])
		must(t, err)
		closed := make(chan struct{})
		go func() { // drips until it is told to stop
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
		raw, _ := io.ReadAll(conn) // until it is closed, well or by a reset
		close(closed)
		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("%s: closed after %v", name, took)
		}
		if _, body, found := strings.Cut(string(raw), "\r\n\r\n"); found {
			var p openapi.Problem
			must(t, json.Unmarshal([]byte(body), &p))
			equal(t, "code", p.Code, openapi.Unavailable)
		}
	}
	h.wantUntouched("a drip", before)
	h.get(alice, "/v1/me").want(200)
	if strings.Contains(h.log.String(), `"level":"ERROR"`) {
		t.Errorf("slow callers fill the log:\n%s", h.log)
	}
}
