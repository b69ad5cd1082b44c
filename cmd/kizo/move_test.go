package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/openapi"
)

// fakeServer is a server that fails as the test says. It has no accounts. The scripts in
// testdata/script test with kizod.
type fakeServer struct {
	*httptest.Server
	mu    sync.Mutex
	money []http.HandlerFunc // answers to requests that move money, in order; the last repeats
	seen  []string           // key and body of each
	me    client.User
}

func newFakeServer(t testing.TB, money ...http.HandlerFunc) *fakeServer {
	t.Helper()
	s := &fakeServer{money: money, me: client.User{Id: uuid.New(), Handle: "ada"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.me)
	})
	mux.HandleFunc("GET /v1/wallets", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4e","currency":"USD","balance":100,"held":0,"available":100,"status":"active"}]}`)
	})
	mux.HandleFunc("GET /v1/transfers/{id}", answerTransfer(200, "pending", "lunch"))
	mux.HandleFunc("GET /v1/users", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"handle":"bobby","name":"Bob"}]}`)
	})
	mux.HandleFunc("POST /v1/auth/logout", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /v1/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		answer := s.money[min(len(s.seen), len(s.money)-1)]
		s.seen = append(s.seen, r.Header.Get("Idempotency-Key")+" "+string(body))
		s.mu.Unlock()
		answer(w, r)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func answerTransfer(status int, state client.TransferState, memo string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		handle, name, reason := "bob", "Bob\u202e", "bank_rejected"
		t := client.Transfer{
			Id: uuid.MustParse("0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"), Kind: "transfer", State: state, Direction: "out",
			Amount: 1250, Currency: "USD", To: client.Party{Handle: &handle, Name: &name}, Memo: &memo,
			CreatedAt: time.Date(2026, 3, 1, 11, 57, 0, 0, time.UTC),
		}
		if state == client.Voided {
			t.Reason = &reason
		}
		_ = json.NewEncoder(w).Encode(t)
	}
}

// adasTokens answers a sign-up or log-in.
var adasTokens = tokensOfAda("r")

// tokensOfAda is an answer with all fields that the contract requires.
func tokensOfAda(refresh string) string {
	text, err := json.Marshal(openapi.Tokens{AccessToken: "a", RefreshToken: refresh, ExpiresIn: 900, User: userAda()})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func userAda() client.User {
	return client.User{
		Id: uuid.MustParse("0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"), Handle: "ada", Name: "Ada", Email: "ada@example.com",
		Role: client.UserRoleUser, CreatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func answerCode(status int, code client.ProblemCode) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answerProblem(w, status, code) }
}

func TestAnUnknownOutcomeIsFinishedByRetry(t *testing.T) {
	s := newFakeServer(t, answerCode(500, client.Internal), answerCode(401, client.SessionRevoked), answerTransfer(201, "posted", ""))
	w := newWorld(t, s.Server)
	w.expect(exitUnknown, "transfer", "@bob", "12.50", "--idempotency-key", "invoice-17")
	testkit.Contains(t, w.err.String(), "not known whether the money moved", "try: kizo retry invoice-17")
	w.expect(exitDone, "pending", "--json=key,what")
	testkit.Contains(t, w.out.String(), `[{"key":"invoice-17","what":"transfer 12.50 USD to @bob"}]`)

	w.expect(exitUnknown, "retry") // 401 says nothing about the first attempt
	w.expect(exitDone, "retry", "invoice-17")
	testkit.Contains(t, w.out.String(), "posted\tout\t12.50 USD")
	w.expect(exitDone, "pending", "--json")
	testkit.Contains(t, w.out.String(), "[]")
	w.expect(exitNotFound, "retry", "invoice-17")
	for _, seen := range s.seen {
		if seen != s.seen[0] {
			t.Errorf("sent %s, then %s", s.seen[0], seen)
		}
	}
}

func TestAnotherUserCannotRetry(t *testing.T) {
	s := newFakeServer(t, answerCode(500, client.Internal))
	w := newWorld(t, s.Server)
	w.expect(exitUnknown, "transfer", "@bob", "1", "--idempotency-key", "k")
	s.me = client.User{Id: uuid.New(), Handle: "eve"}
	w.expect(exitUnknown, "retry", "k")
	testkit.Contains(t, w.err.String(), "sent as @ada", "try: kizo login ada")
	if len(s.seen) != 1 {
		t.Errorf("sent as another user: %v", s.seen)
	}
}

func TestNothingIsSentUnrecorded(t *testing.T) {
	s := newFakeServer(t, answerTransfer(201, "posted", ""))
	w := newWorld(t, s.Server)
	w.write("state/kizo/intents.jsonl/in-the-way", "")
	w.expect(exitFailure, "transfer", "@bob", "1")
	testkit.Contains(t, w.err.String(), "nothing was sent")
	if len(s.seen) != 0 {
		t.Errorf("sent: %v", s.seen)
	}
}

func TestWaitingForTheBank(t *testing.T) {
	for _, test := range []struct {
		name string
		send http.HandlerFunc
		wait string
		code int
	}{
		{"posted", answerTransfer(201, "posted", ""), "--wait", exitDone},
		{"voided", answerTransfer(201, "voided", ""), "--wait", exitRefused},
		{"pending", answerTransfer(202, "pending", ""), "--wait=1ms", exitStillPending},
		{"not waited for", answerTransfer(202, "pending", ""), "--wait=0", exitDone},
		{"voided, not waited for", answerTransfer(201, "voided", ""), "--wait=0", exitRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, newFakeServer(t, test.send).Server)
			w.now = time.Now()
			w.expect(test.code, "deposit", "12.50", test.wait)
			testkit.Contains(t, w.out.String(), "12.50 USD")
			w.expect(exitDone, "pending", "--json")
			testkit.Contains(t, w.out.String(), "[]")
		})
	}
}

func TestControlCharactersNeverReachTheTerminal(t *testing.T) {
	memo := "\x1b[2J\u202e\u009b"
	s := newFakeServer(t, answerTransfer(201, "posted", memo))
	w := newWorld(t, s.Server)
	w.env["NO_COLOR"] = "1"
	for _, args := range [][]string{{}, {"--json"}, {"-o", "csv"}, {"-o", "wide"}, {"--jq", ".memo"}, {"--template", "{{.memo}}"}, {"--json"}} {
		for _, w.terminal = range []bool{false, true} {
			w.expect(exitDone, append([]string{"transfer", "@bob", "1"}, args...)...)
			if strings.ContainsAny(w.out.String(), "\x1b\u202e\u009b") {
				t.Errorf("%q", w.out.String())
			}
		}
	}
	var got client.Transfer
	if err := json.Unmarshal(w.out.Bytes(), &got); err != nil || *got.Memo != memo {
		t.Errorf("%q, %v", *got.Memo, err)
	}
}

func TestTerminalOutput(t *testing.T) {
	w := newWorld(t, newFakeServer(t, answerTransfer(201, "posted", "lunch")).Server)
	w.terminal = true
	w.expect(exitDone, "transfer", "@bob", "12.50")
	testkit.Contains(t, w.out.String(), "amount     12.50 USD\n", "when       3m ago\n", "with       to @bob (Bob\\u{202e})\n")
}

func TestErrorsSayWhatToType(t *testing.T) {
	for _, test := range []struct {
		answer http.HandlerFunc
		args   []string
		code   int
		want   string
	}{
		{answerCode(404, client.PayeeNotFound), []string{"transfer", "@boby", "1"}, 5, "try: kizo transfer @bobby 1"},
		{answerCode(404, client.PayeeRenamed), []string{"transfer", "@boby", "1"}, 5, ""},
		{answerCode(404, client.WalletNotFound), []string{"transfer", "@bob", "1", "EUR"}, 5, "try: kizo wallet open EUR"},
		{answerCode(422, client.InsufficientFunds), []string{"transfer", "@bob", "1"}, 3, "try: kizo deposit AMOUNT"},
		{nil, []string{"transfer", "@bob", "12.345"}, 2, "try: kizo transfer @bob 12.34\n"},
		{nil, []string{"transfer", "@bob", "12.345 USD"}, 2, "try: kizo transfer @bob '12.35 USD'"},
		{nil, []string{"transfer", "@bob", "-5"}, 2, "try: kizo transfer @bob 5"},
		{nil, []string{"transfer", "@bob", "1e3"}, 2, "such as 12.5"},
		{nil, []string{"transfer", "@bob", "0"}, 2, "0.01 or more"},
		{nil, []string{"transfer", "@bob", "1", "XXX"}, 2, "ISO 4217"},
		{nil, []string{"transfer", "@bob", "1", "EUR", "--currency", "USD"}, 2, "given twice: EUR and USD"},
		{nil, []string{"transfer", "@bob"}, 2, "try: kizo transfer TO AMOUNT [CURRENCY]"},
		{nil, []string{"tranfser", "@bob", "1"}, 2, "try: kizo transfer\n"},
		{nil, []string{"wallet", "opne"}, 2, "try: kizo wallet open\n"},
		{nil, []string{"wallet"}, 2, "try: kizo wallet --help"},
		{nil, []string{"balance", "EUR"}, 5, "try: kizo wallet open EUR"},
		{nil, []string{"balance", "--at", "soon"}, 2, `"soon" is not a time`},
		{nil, []string{"balance", "--json=blance"}, 2, "the fields are: available,balance,"},
		{nil, []string{"deposit", "1", "--wait=never"}, 2, "--wait=10s"},
		{nil, []string{"transfer", "@bob", "1", "--idempotency-key", "a b"}, 2, "without spaces"},
		{nil, []string{"transfers", "show", "17"}, 2, "try: kizo transfers list"},
	} {
		s := newFakeServer(t, test.answer)
		w := newWorld(t, s.Server)
		w.expect(test.code, test.args...)
		testkit.Contains(t, w.err.String(), test.want)
		if w.out.Len() > 0 || (test.answer == nil && len(s.seen) > 0) {
			t.Errorf("%q: printed %q, sent %v", test.args, &w.out, s.seen)
		}
	}
}

func TestWithJSONAnErrorIsOneProblem(t *testing.T) {
	for _, test := range []struct {
		answer http.HandlerFunc
		args   []string
		code   string
		exit   int
	}{
		{answerCode(422, client.InsufficientFunds), []string{"transfer", "@bob", "1", "--json"}, "insufficient_funds", 3},
		{answerCode(500, client.Internal), []string{"transfer", "@bob", "1", "--json"}, "outcome_unknown", 7},
		{answerTransfer(201, "voided", ""), []string{"deposit", "1", "--json"}, "rejected", 3},
		{nil, []string{"transfer", "@bob", "1e3", "--json"}, "amount_malformed", 2},
		{nil, []string{"transfer", "@bob", "--json=id", "--nonsense"}, "usage", 2},
	} {
		w := newWorld(t, newFakeServer(t, test.answer).Server)
		w.expect(test.exit, test.args...)
		var got problemJSON
		if err := json.Unmarshal(w.err.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, &w.err)
		}
		if got.Code != test.code || got.ExitCode != test.exit || got.Detail == "" {
			t.Errorf("%+v", got)
		}
		if test.exit == exitUnknown && got.IdempotencyKey == "" {
			t.Errorf("%+v", got)
		}
	}
}

func TestInterruptionNamesTheRetryCommand(t *testing.T) {
	arrived := make(chan struct{})
	s := newFakeServer(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	w := newWorld(t, s.Server)
	command := exec.CommandContext(t.Context(), "kizo", "transfer", "@bob", "1", "--idempotency-key", "k")
	command.Env = os.Environ()
	for name, value := range w.env {
		command.Env = append(command.Env, name+"="+value)
	}
	command.Stderr = &w.err
	testkit.Must(t, command.Start())
	<-arrived
	testkit.Must(t, command.Process.Signal(os.Interrupt))
	_ = command.Wait()
	if code := command.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	testkit.Contains(t, w.err.String(), "kizo retry k")
	w.expect(exitDone, "pending")
	testkit.Contains(t, w.out.String(), "k\t")
}

func TestPasswords(t *testing.T) {
	s := newFakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, adasTokens)
	})
	w := newWorld(t, s.Server)
	signup := []string{"signup", "--email", "ada@example.com", "--handle", "@ada", "--name", "Ada"}

	w.expect(exitUsage, signup...) // KIZO_TOKEN is set
	delete(w.env, "KIZO_TOKEN")
	w.expect(exitUsage, signup...)
	testkit.Contains(t, w.err.String(), "--password-stdin < FILE")
	w.secrets = []string{"correct horse", "correct horses"}
	w.expect(exitUsage, signup...)
	testkit.Contains(t, w.err.String(), "not the same")
	if len(s.seen) > 0 {
		t.Fatalf("sent %v", s.seen)
	}
	w.secrets = []string{"correct horse", "correct horse"}
	w.expect(exitDone, signup...)
	w.secrets, w.stdin = nil, "correct horse\r\nmore\n"
	w.expect(exitDone, "login", "@ada", "--password-stdin")
	if want := ` {"login":"ada","password":"correct horse"}`; s.seen[1] != want {
		t.Errorf("sent %s", s.seen[1])
	}
	w.expect(exitUsage, "signup", "--handle", "ada")
	testkit.Contains(t, w.err.String(), "--email and --name")
}
