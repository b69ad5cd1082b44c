package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// TestContextsDoNotMixIntents: what one context left unfinished is neither listed, retried nor
// dropped in another one, although both use the same server as the same user.
func TestContextsDoNotMixIntents(t *testing.T) {
	s := newFakeServer(t, answerCode(500, client.Internal), answerCode(500, client.Internal), answerTransfer(201, "posted", ""))
	w := newWorld(t, s.Server)
	for _, name := range []string{"one", "two"} {
		w.expect(exitDone, "context", "add", name, "--server", s.URL)
	}
	w.expect(exitUnknown, "transfer", "@bob", "1", "--idempotency-key", "in-default")
	w.expect(exitUnknown, "transfer", "@bob", "2", "--idempotency-key", "in-one", "--context", "one")
	testkit.Contains(t, w.err.String(), "try: kizo --context one retry in-one", "context: one (")

	pending := func(want string, args ...string) {
		t.Helper()
		w.expect(exitDone, append([]string{"pending", "--json=key", "--jq", ".[].key"}, args...)...)
		if got := strings.TrimSpace(w.out.String()); got != want {
			t.Errorf("%q lists %q, want %q", args, got, want)
		}
	}
	pending("in-default")
	pending("in-one", "--context", "one")
	pending("", "--context", "two")
	w.expect(exitNotFound, "retry", "in-one")
	w.expect(exitNotFound, "retry", "in-default", "--context", "one")
	w.expect(exitNotFound, "pending", "drop", "in-one", "--yes", "--context", "two")

	// An unfinished command keeps its context from being removed, and survives a new name.
	w.expect(exitUsage, "context", "remove", "one", "--yes")
	testkit.Contains(t, w.err.String(), "1 command whose outcome is unknown", "kizo retry --context one")
	w.expect(exitDone, "context", "rename", "one", "uno")
	pending("in-one", "--context", "uno")
	w.expect(exitDone, "retry", "--context", "uno")
	pending("", "--context", "uno")
	pending("in-default")
	w.expect(exitDone, "context", "remove", "uno", "--yes")
}

// TestTheDefaultContextIsTheStateOfBefore: a kizo without contexts wrote its state where the
// default context has it.
func TestTheDefaultContextIsTheStateOfBefore(t *testing.T) {
	w := newWorld(t, nil)
	a := w.app()
	dir, err := a.stateDir()
	testkit.Must(t, err)
	if want := filepath.Join(w.dir, "state", "kizo"); dir != want {
		t.Errorf("the default context is in %s, want %s", dir, want)
	}
	keep(t, newFileStore(dir, defaultServer), client.Credentials{AccessToken: "a", RefreshToken: "r", User: userAda()})
	w.expect(exitDone, "context", "add", "other", "--server", defaultServer)
	w.expect(exitNotLoggedIn, "balance", "--context", "other")
	stored, err := w.app().sessions(defaultServer)
	testkit.Must(t, err)
	if held, err := stored.Load(t.Context()); err != nil || held.AccessToken != "a" {
		t.Errorf("%+v, %v", held, err)
	}
}

// TestAProtectedContextAsksForItsName: on a terminal, each command that moves money asks, and
// nothing is sent before the name was typed.
func TestAProtectedContextAsksForItsName(t *testing.T) {
	s := newFakeServer(t, answerTransfer(201, "posted", ""))
	w := newWorld(t, s.Server)
	w.expect(exitDone, "context", "add", "work", "--server", s.URL, "--protected")
	w.expect(exitDone, "context", "use", "work")
	answer, asked := "", 0
	w.readLine = func(_ context.Context, prompt string) (string, error) {
		if strings.Contains(prompt, "name of the context") {
			asked++
		}
		return answer, nil
	}
	for _, answer = range []string{"", "yes", "Work", "other"} {
		w.expect(exitUsage, "transfer", "@bob", "1")
		testkit.Contains(t, w.err.String(), "transfer 1.00 USD to @bob: the context work is protected", "nothing was sent")
	}
	if asked != 4 || len(s.seen) != 0 {
		t.Fatalf("asked %d times, sent %v", asked, s.seen)
	}
	answer = "work"
	w.expect(exitDone, "transfer", "@bob", "1")
	w.expect(exitDone, "transfer", "@bob", "1", "--confirm-context", "work")
	if asked != 5 || len(s.seen) != 2 {
		t.Errorf("asked %d times, sent %v", asked, s.seen)
	}

	// Neither a variable nor a directory's file lifts the protection.
	w.readLine = nil
	w.env["KIZO_PROTECTED"] = "false"
	w.expect(exitUsage, "transfer", "@bob", "1")
	path := w.write(".kizo.toml", "protected = false")
	w.expect(exitUsage, "transfer", "@bob", "1")
	testkit.Contains(t, w.err.String(), path)
}

// TestTheDashboardOfAProtectedContextIsReadonly: unless it is started with --confirm-context.
func TestTheDashboardOfAProtectedContextIsReadonly(t *testing.T) {
	w := newWorld(t, nil)
	w.write("config/kizo/config.toml", "protected = true")
	for flag, want := range map[string]string{
		"": "the context is protected, start it with --confirm-context default", "default": "", "other": "the context is protected, start it with --confirm-context default",
	} {
		a := w.app()
		a.confirmFlag = flag
		if got, err := (&dashboardOptions{app: a}).readonlyReason(); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", flag, got, err, want)
		}
	}
}

// TestALogInAsksBeforeItReplaces: on a terminal the user decides, and the replaced session is
// ended.
func TestALogInAsksBeforeItReplaces(t *testing.T) {
	var ended []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/logout") {
			ended = append(ended, r.Header.Get("Authorization"))
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprint(w, adasTokens)
	}))
	defer s.Close()
	w := newWorld(t, nil)
	w.env["KIZO_SERVER"] = s.URL
	bob := client.User{Handle: "bob", Email: "bob@example.com"}
	stored, err := w.app().sessions(s.URL)
	testkit.Must(t, err)
	keep(t, stored, client.Credentials{AccessToken: "bobs", RefreshToken: "r", User: bob, ExpiresAt: w.now.AddDate(10, 0, 0)})
	w.secrets = []string{"correct horse battery"}
	answer := "no"
	w.readLine = func(context.Context, string) (string, error) { return answer, nil }
	w.expect(exitUsage, "login", "ada")
	testkit.Contains(t, w.err.String(), "still for @bob")
	if held, _ := stored.Load(t.Context()); held.User.Handle != "bob" {
		t.Errorf("the session is of %q", held.User.Handle)
	}
	answer = "yes"
	w.expect(exitDone, "login", "ada")
	if held, _ := stored.Load(t.Context()); held.User.Handle != "ada" {
		t.Errorf("the session is of %q", held.User.Handle)
	}
	if fmt.Sprint(ended) != "[Bearer bobs]" {
		t.Errorf("ended %v", ended)
	}
}

func TestADamagedContextIsNamed(t *testing.T) {
	w := newWorld(t, nil)
	for content, want := range map[string]string{
		`server = "http://127.0.0.1:1"`:                                                     "needs an id",
		"id = \"../../../etc/kizo\"\nserver = \"http://127.0.0.1:1\"":                       "needs an id",
		`id = "0123456789abcdef"`:                                                           "needs a server",
		"id = \"0123456789abcdef\"\nserver = \"http://127.0.0.1:1\"\ncontext = \"x\"":       `unknown setting "context"`,
		"id = \"0123456789abcdef\"\nserver = \"http://127.0.0.1:1\"\nprotected = \"false\"": "true or false, without quotes",
		"id = \"0123456789abcdef\"\nserver = \"http://127.0.0.1:1\"\nprotected = 1":         "true or false, without quotes",
	} {
		path := w.write("config/kizo/contexts/bad.toml", content)
		w.expect(exitUsage, "balance", "--context", "bad")
		testkit.Contains(t, w.err.String(), path, want)
		testkit.Must(t, os.Remove(path))
	}
}

// TestARetryInAProtectedContextAsksToo: what is unfinished may move money.
func TestARetryInAProtectedContextAsksToo(t *testing.T) {
	s := newFakeServer(t, answerCode(500, client.Internal), answerTransfer(201, "posted", ""))
	w := newWorld(t, s.Server)
	w.expect(exitDone, "context", "add", "work", "--server", s.URL, "--protected")
	w.env["KIZO_CONTEXT"] = "work"
	w.expect(exitUnknown, "transfer", "@bob", "1", "--idempotency-key", "k", "--confirm-context", "work")
	for _, args := range [][]string{{"retry"}, {"retry", "k"}} {
		w.expect(exitUsage, args...)
		testkit.Contains(t, w.err.String(), "nothing was sent", "--confirm-context work")
	}
	if len(s.seen) != 1 {
		t.Fatalf("sent %v", s.seen)
	}
	w.expect(exitDone, "retry", "k", "--confirm-context", "work")
	w.expect(exitDone, "retry") // nothing is left to confirm
	const payment = "0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4d"
	w.expect(exitUsage, "ops", "payments", "resolve", payment, "executed", "--reason", "the statement has it")
	if len(s.seen) != 2 {
		t.Errorf("sent %v", s.seen)
	}
}
