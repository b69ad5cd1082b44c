package bank_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/trace"
	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/problem"
)

var payment = bank.Instruction{Ref: "ref-1", Direction: bank.Withdrawal, Amount: 1250, Currency: "USD"}

const (
	executed = `{"ref":"ref-1","bank_ref":"bk-1","status":"executed","reason":"","amount":1250,"currency":"USD","at":"2026-01-02T03:04:05Z"}`
	rejected = `{"ref":"ref-1","bank_ref":"","status":"rejected","reason":"no \u001b[31mfunds\u0007","amount":1250,"currency":"USD","at":"2026-01-02T03:04:05+01:00"}`
)

func client(t *testing.T, url string, timeout time.Duration) *bank.Client {
	t.Helper()
	c, err := bank.NewClient(bank.ClientConfig{URL: url, Token: "secret", Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestDefiniteAnswers(t *testing.T) {
	c := client(t, serve(t, says(200, executed)), 0)
	a, err := c.Submit(t.Context(), payment)
	want := bank.Answer{
		Outcome: bank.Executed, BankRef: "bk-1", Amount: 1250, Currency: "USD",
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	if err != nil || a != want {
		t.Fatalf("got %+v, %v", a, err)
	}
	c = client(t, serve(t, says(200, rejected)), 0)
	a, err = c.Status(t.Context(), payment)
	if err != nil || a.Outcome != bank.Rejected || a.Reason != "no [31mfunds" || a.At.Hour() != 2 {
		t.Fatalf("got %+v, %v", a, err)
	}
}

// The outcome is unknown unless the response is a well-formed answer about this payment.
func TestUnknownIsNeverRejected(t *testing.T) {
	swap := func(old, new string) string { return strings.Replace(executed, old, new, 1) }
	no := strings.Replace(rejected, `"amount":1250`, `"amount":9`, 1)
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		code   problem.Code
	}{
		"500":                      {says(500, rejected), bank.CodeHTTPStatus},
		"503":                      {says(503, ""), bank.CodeHTTPStatus},
		"400 with a rejection":     {says(400, rejected), bank.CodeHTTPStatus},
		"422 with a rejection":     {says(422, rejected), bank.CodeHTTPStatus},
		"201":                      {says(201, executed), bank.CodeHTTPStatus},
		"204":                      {says(204, ""), bank.CodeHTTPStatus},
		"401":                      {says(401, rejected), bank.CodeUnauthorized},
		"403":                      {says(403, rejected), bank.CodeUnauthorized},
		"409":                      {says(409, rejected), bank.CodeConflict},
		"redirect":                 {http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP, bank.CodeHTTPStatus},
		"empty":                    {says(200, ""), bank.CodeUnreadable},
		"html":                     {says(200, "<html>Bad gateway</html>"), bank.CodeUnreadable},
		"list":                     {says(200, "["+rejected+"]"), bank.CodeUnreadable},
		"null":                     {says(200, "null"), bank.CodeUnreadable},
		"half":                     {says(200, rejected[:40]), bank.CodeUnreadable},
		"trailing":                 {says(200, rejected+rejected), bank.CodeUnreadable},
		"oversized":                {says(200, executed+strings.Repeat(" ", bank.MaxBody)), bank.CodeUnreadable},
		"endless":                  {endless, bank.CodeUnreadable},
		"two statuses":             {says(200, swap(`"reason":""`, `"status":"rejected"`)), bank.CodeUnreadable},
		"Status in another case":   {says(200, swap(`"status"`, `"Status"`)), bank.CodeUnreadable},
		"another status":           {says(200, swap(`"executed"`, `"declined"`)), bank.CodeUnreadable},
		"status null":              {says(200, swap(`"executed"`, `null`)), bank.CodeUnreadable},
		"no bank_ref":              {says(200, swap(`"bk-1"`, `""`)), bank.CodeUnreadable},
		"bank_ref with an escape":  {says(200, swap(`bk-1`, `bk\u001b[2J`)), bank.CodeUnreadable},
		"amount with a fraction":   {says(200, swap(`1250`, `1250.0`)), bank.CodeUnreadable},
		"amount with an exponent":  {says(200, swap(`1250`, `125e1`)), bank.CodeUnreadable},
		"amount quoted":            {says(200, swap(`1250`, `"1250"`)), bank.CodeUnreadable},
		"no amount":                {says(200, swap(`"amount":1250,`, ``)), bank.CodeUnreadable},
		"no time":                  {says(200, swap(`2026-01-02T03:04:05Z`, `yesterday`)), bank.CodeUnreadable},
		"wrong amount":             {says(200, swap(`1250`, `1251`)), bank.CodeContradiction},
		"wrong currency":           {says(200, swap(`USD`, `KWD`)), bank.CodeContradiction},
		"wrong ref":                {says(200, swap(`ref-1`, `ref-2`)), bank.CodeContradiction},
		"rejects another amount":   {says(200, no), bank.CodeContradiction},
		"broken before the answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, bank.CodeTransport},
		"broken within the answer": {breakWithin, bank.CodeTransport},
		"headers beyond any bound": {hugeHeader, bank.CodeTransport},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, serve(t, tc.answer), 0)
			for op, call := range map[string]func(context.Context, bank.Instruction) (bank.Answer, error){
				"submit": c.Submit, "status": c.Status,
			} {
				a, err := call(t.Context(), payment)
				if a != (bank.Answer{}) || a.Outcome != bank.Unknown || !errors.Is(err, tc.code) {
					t.Errorf("%s: got %+v, %v; want unknown, %v", op, a, err, tc.code)
				}
				if e, ok := errors.AsType[*bank.Error](err); ok && (e.Claim != nil) != (tc.code == bank.CodeContradiction) {
					t.Errorf("%s: claim %+v", op, e.Claim)
				}
			}
		})
	}
}

func breakWithin(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "400")
	_, _ = w.Write([]byte(rejected))
	panic(http.ErrAbortHandler)
}

// endless writes until the client closes the connection, which it must do before its timeout.
func endless(w http.ResponseWriter, _ *http.Request) {
	for err := error(nil); err == nil; {
		_, err = w.Write([]byte("          "))
	}
}

func hugeHeader(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Padding", strings.Repeat("x", 64<<10))
	_, _ = w.Write([]byte(rejected))
}

func TestNotSeenIsNoRejection(t *testing.T) {
	c := client(t, serve(t, says(404, rejected)), 0)
	a, err := c.Status(t.Context(), payment)
	if err != nil || a != (bank.Answer{Outcome: bank.Unknown, NotSeen: true}) {
		t.Fatalf("status: got %+v, %v", a, err)
	}
	// A 404 to Submit means that the URL is wrong, not that the bank has not seen the reference.
	a, err = c.Submit(t.Context(), payment)
	if a != (bank.Answer{}) || !errors.Is(err, bank.CodeHTTPStatus) {
		t.Fatalf("submit: got %+v, %v", a, err)
	}
}

// A bank that does not answer in time, and a caller that cancels, leave the outcome unknown.
func TestNoAnswerIsUnknown(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	drip := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(rejected[:30]))
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })
	for name, u := range map[string]string{"no header": url, "half a body": drip} {
		a, err := client(t, u, 30*time.Millisecond).Submit(t.Context(), payment)
		if a.Outcome != bank.Unknown || !errors.Is(err, bank.CodeTimeout) {
			t.Errorf("%s: got %+v, %v", name, a, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := client(t, url, 0).Submit(ctx, payment); a != (bank.Answer{}) || !errors.Is(err, bank.CodeTimeout) {
		t.Errorf("canceled by the caller: got %+v, %v", a, err)
	}
}

func TestConnectionRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	a, err := client(t, "http://"+ln.Addr().String(), 0).Submit(t.Context(), payment)
	if a != (bank.Answer{}) || !errors.Is(err, bank.CodeTransport) {
		t.Fatalf("got %+v, %v", a, err)
	}
}

func TestRequestOnTheWire(t *testing.T) {
	var got *http.Request
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		says(200, executed)(w, r)
	})
	c, err := bank.NewClient(bank.ClientConfig{URL: url + "/bank/", Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	request := trace.New()
	if _, err := c.Submit(trace.Into(t.Context(), request), payment); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer secret", "Content-Type": "application/json",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.Method != "POST" || got.URL.Path != "/bank/v1/payments" {
		t.Errorf("sent %s %s", got.Method, got.URL.Path)
	}
	span, ok := trace.Parse(got.Header.Get("Traceparent"))
	if !ok || span.TraceID() != request.TraceID() || span == request {
		t.Errorf("the call is %q, which is no child of %q", got.Header.Get("Traceparent"), request)
	}
	// A call without a trace has no header.
	if _, err := c.Status(t.Context(), payment); err != nil {
		t.Fatal(err)
	}
	if values := got.Header.Values("Traceparent"); len(values) != 0 || got.URL.Path != "/bank/v1/payments/ref-1" {
		t.Errorf("sent %s as %q", got.URL.Path, values)
	}
}

func TestInvalidInstructionIsNeverSent(t *testing.T) {
	c := client(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") }), 0)
	for _, change := range []func(*bank.Instruction){
		func(in *bank.Instruction) { in.Ref = "" },
		func(in *bank.Instruction) { in.Ref = "a/../b" },
		func(in *bank.Instruction) { in.Ref = strings.Repeat("r", 65) },
		func(in *bank.Instruction) { in.Direction = "sideways" },
		func(in *bank.Instruction) { in.Amount = 0 },
		func(in *bank.Instruction) { in.Amount = -1 },
		func(in *bank.Instruction) { in.Amount = bank.MaxAmount + 1 },
		func(in *bank.Instruction) { in.Currency = "usd" },
		func(in *bank.Instruction) { in.Currency = "USDT" },
	} {
		in := payment
		change(&in)
		_, err := c.Submit(t.Context(), in)
		_, err2 := c.Status(t.Context(), in)
		if !errors.Is(err, bank.CodeInvalid) || !errors.Is(err2, bank.CodeInvalid) {
			t.Errorf("%+v: %v, %v", in, err, err2)
		}
	}
	for _, u := range []string{"", "bank", "ftp://bank", "http://", "http://me:pw@bank", "http://bank?x=1"} {
		if _, err := bank.NewClient(bank.ClientConfig{URL: u}); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("URL %q: %v", u, err)
		}
	}
}

func TestErrorTextIsSafe(t *testing.T) {
	err := &bank.Error{Code: bank.CodeTransport, Op: "submit", Ref: "r", HTTP: 502, Err: errors.New("a\n\x1b]0;x\ab" + strings.Repeat("z", 900))}
	if s := err.Error(); strings.ContainsAny(s, "\n\x1b\a") || len(s) > 300 {
		t.Errorf("%q", s)
	}
}
