package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

func TestOneRefIsExecutedOnce(t *testing.T) {
	r := start(t, nil)
	c := r.client(t, longTimeout)
	in := pay(1)
	var wg sync.WaitGroup
	answers := make([]bank.Answer, 100)
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = c.Submit(t.Context(), in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] || a.Outcome != bank.Executed {
			t.Fatalf("answers differ: %+v, %+v", a, answers[0])
		}
	}
	if journal := r.read(t); len(journal) != 1 || journal[0].Instruction != in || journal[0].BankRef != answers[0].BankRef {
		t.Fatalf("journal holds %+v", journal)
	}
}

func TestAnotherBodyUnderOneRefIsAConflict(t *testing.T) {
	r := start(t, nil)
	c := r.client(t, longTimeout)
	first := pay(1)
	if _, err := c.Submit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*bank.Instruction){
		func(in *bank.Instruction) { in.Amount++ },
		func(in *bank.Instruction) { in.Currency = "EUR" },
		func(in *bank.Instruction) { in.Direction = bank.Deposit },
	} {
		in := first
		change(&in)
		if a, err := c.Submit(t.Context(), in); a.Outcome != bank.Unknown || !errors.Is(err, bank.CodeConflict) {
			t.Errorf("%+v: got %+v, %v", in, a, err)
		}
	}
	if journal := r.read(t); len(journal) != 1 || journal[0].Instruction != first {
		t.Errorf("journal holds %+v", journal)
	}
}

// The status of a reference that was never submitted is answered without faults, and needs no
// memory.
func TestStatusOfAnUnknownReference(t *testing.T) {
	r := start(t, withFaults(Faults{Fail: 1}))
	c := r.client(t, longTimeout)
	a, err := c.Status(t.Context(), pay(1))
	if err != nil || !a.NotSeen || a.Outcome != bank.Unknown {
		t.Fatalf("got %+v, %v", a, err)
	}
	if len(r.payments.byRef) != 0 {
		t.Error("the reference was stored")
	}
}

func TestStatementPages(t *testing.T) {
	r := start(t, withFaults(Faults{RejectWithdrawals: 1}))
	c := r.client(t, longTimeout)
	for n := range 23 {
		if _, err := c.Submit(t.Context(), pay(n)); err != nil {
			t.Fatal(err)
		}
	}
	var all []bank.StatementLine
	for after, size := int64(0), 10; size == 10; {
		page, err := c.Statement(t.Context(), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		all, after, size = append(all, page.Lines...), page.Next, len(page.Lines)
	}
	journal := r.read(t)
	if len(all) != 23 || len(journal) != 23 {
		t.Fatalf("statement has %d entries, journal %d", len(all), len(journal))
	}
	for i, e := range all {
		want := bank.Executed
		if i%2 == 1 {
			want = bank.Rejected
		}
		if e.Instruction != pay(i) || e.Seq != int64(i+1) || e.BankRef != journal[i].BankRef || e.Outcome != want {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
	if page, err := c.Statement(t.Context(), 1000, 10); err != nil || len(page.Lines) != 0 || page.Next != 1000 {
		t.Errorf("beyond the end: %+v, %v", page, err)
	}
}

// The largest page fits into bank.MaxBody.
func TestLargestPageFitsTheClient(t *testing.T) {
	r := start(t, withFaults(Faults{RejectWithdrawals: 1}))
	c := r.client(t, longTimeout)
	for n := range bank.MaxPageSize {
		in := pay(1)
		in.Ref = strings.Repeat("r", bank.MaxRefLength-3) + string([]byte{'0' + byte(n/100), '0' + byte(n/10%10), '0' + byte(n%10)})
		in.Amount = bank.MaxAmount
		if _, err := c.Submit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	page, err := c.Statement(t.Context(), 0, bank.MaxPageSize)
	if err != nil || len(page.Lines) != bank.MaxPageSize {
		t.Fatalf("%d entries, %v", len(page.Lines), err)
	}
}

func TestInputIsStrict(t *testing.T) {
	r := start(t, nil)
	const good = `{"ref":"a","direction":"deposit","amount":1,"currency":"USD"}`
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	post := func(body string) int {
		resp, err := http.Post(r.url+"/v1/payments", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := post(good); got != 200 {
		t.Fatalf("a valid body → %d", got)
	}
	for body, want := range map[string]int{
		swap(`1,`, `1000000000000000,`): 409, // well formed, another amount
		"":                              400,
		"null":                          400,
		good + good:                     400,
		swap(`}`, `,"extra":1}`):        400,
		swap(`}`, `,"amount":1}`):       400,
		swap(`"amount"`, `"Amount"`):    400,
		swap(`1,`, `0,`):                400,
		swap(`1,`, `-1,`):               400,
		swap(`1,`, `1.0,`):              400,
		swap(`1,`, `1e2,`):              400,
		swap(`1,`, `"1",`):              400,
		swap(`1,`, `1000000000000001,`): 400,
		swap(`"a"`, `""`):               400,
		swap(`"a"`, `"a b"`):            400,
		swap(`"a"`, `"ä"`):              400,
		swap(`"a"`, `"`+strings.Repeat("a", 65)+`"`): 400,
		swap(`USD`, `usd`):                           400,
		swap(`USD`, `US`):                            400,
		swap(`deposit`, `loan`):                      400,
		good + strings.Repeat(" ", 16<<10):           413,
	} {
		if got := post(body); got != want {
			t.Errorf("%.80s → %d, want %d", body, got, want)
		}
	}
	for path, want := range map[string]int{
		"/v1/payments/a%20b": 400, "/v1/statement?limit=0": 400, "/v1/statement?limit=201": 400,
		"/v1/statement?after=-1": 400, "/v1/statement?after=x": 400, "/v1/statement": 200, "/healthz": 200, "/": 404,
	} {
		resp, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s → %d, want %d", path, resp.StatusCode, want)
		}
	}
}

func TestTokenIsRequired(t *testing.T) {
	r := start(t, func(c *Config) { c.Token = "right" })
	if _, err := r.client(t, longTimeout).Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "wrong", "right "} {
		for _, call := range []struct{ method, path string }{
			{"POST", "/v1/payments"}, {"GET", "/v1/payments/ref-1"}, {"GET", "/v1/statement"},
		} {
			req, _ := http.NewRequest(call.method, r.url+call.path, bytes.NewReader([]byte("{}")))
			if token != "" {
				req.Header["Authorization"] = []string{"Basic " + token}
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 401 {
				t.Errorf("token %q, %s %s → %d", token, call.method, call.path, resp.StatusCode)
			}
		}
	}
	c, err := bank.NewClient(bank.ClientConfig{URL: r.url, Token: "wrong"})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.Submit(t.Context(), pay(2)); a.Outcome != bank.Unknown || !errors.Is(err, bank.CodeUnauthorized) {
		t.Errorf("got %+v, %v", a, err)
	}
}

// When its context ends, Serve ends requests that hang and closes the bank.
func TestServeEndsWithItsContext(t *testing.T) {
	path := t.TempDir() + "/journal"
	s, err := New(Config{Journal: path, Open: true, Faults: Faults{Hang: 1, HangFor: maxWait}})
	if err != nil {
		t.Fatal(err)
	}
	hanging := make(chan struct{})
	s.wait = func(ctx context.Context, d time.Duration) error { close(hanging); return waitFor(ctx, d) }
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, answered := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	go func() {
		resp, err := http.Post("http://"+ln.Addr().String()+"/v1/payments", "application/json",
			strings.NewReader(`{"ref":"a","direction":"deposit","amount":1,"currency":"USD"}`))
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		answered <- err
	}()
	<-hanging
	begin := time.Now()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took >= shutdownGrace {
		t.Errorf("the hanging request delayed Serve for %v", took)
	}
	if err := <-answered; err == nil {
		t.Error("a hanging request was answered")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if entries, err := ReadJournal(path); err != nil || len(entries) != 0 {
		t.Errorf("journal holds %v, %v", entries, err)
	}
}

func TestConfigIsValidated(t *testing.T) {
	good := Config{Journal: t.TempDir() + "/journal", Open: true}
	for name, change := range map[string]func(*Config){
		"no token":        func(c *Config) { c.Open = false },
		"no journal":      func(c *Config) { c.Journal = "" },
		"share above 1":   func(c *Config) { c.Faults.Lies = 1.1 },
		"negative wait":   func(c *Config) { c.Faults.HangFor = -1 },
		"callback URL":    func(c *Config) { c.CallbackURL, c.CallbackSecret = "kizo", "s" },
		"callback secret": func(c *Config) { c.CallbackURL = "http://kizo/cb" },
	} {
		cfg := good
		change(&cfg)
		if s, err := New(cfg); err == nil {
			s.Close()
			t.Errorf("%s is accepted", name)
		}
	}
	for _, name := range []string{"calm", "classic", "hell"} {
		if f, err := Preset(name); err != nil || f.Validate() != nil {
			t.Errorf("preset %s: %v, %v", name, err, f.Validate())
		}
	}
	if _, err := Preset("heaven"); err == nil {
		t.Error("preset heaven exists")
	}
}
