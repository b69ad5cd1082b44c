//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// received is a request of kizo that the receiver has verified.
type received struct {
	ID   string
	Type string
	Data json.RawMessage
}

// webhookReceiver is an HTTP server that verifies each request with the library of the
// specification.
type webhookReceiver struct {
	*httptest.Server
	mu       sync.Mutex
	secret   string
	requests []received
	got      chan received // of the last request; unread ones are dropped

	// answer answers request number n, from 0 on; nil answers 204.
	answer func(w http.ResponseWriter, r *http.Request, n int)
}

func newReceiver(t *testing.T) *webhookReceiver {
	t.Helper()
	r := &webhookReceiver{got: make(chan received, 1)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return // kizo was killed
		}
		r.mu.Lock()
		verifier, err := standardwebhooks.NewWebhook(r.secret)
		if err == nil {
			err = verifier.Verify(body, request.Header)
		}
		var one received
		if err == nil {
			err = json.Unmarshal(body, &one)
		}
		one.ID = request.Header.Get("Webhook-Id")
		n := len(r.requests)
		r.requests = append(r.requests, one)
		r.mu.Unlock()
		if err != nil || request.Method != http.MethodPost || request.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v: %s %v %s", err, request.Method, request.Header, body)
		}
		if r.answer != nil {
			r.answer(w, request, n)
		} else {
			w.WriteHeader(http.StatusNoContent)
		}
		select {
		case r.got <- one:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// ids returns the webhook-ids of all requests.
func (r *webhookReceiver) ids() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.requests {
		ids = append(ids, one.ID)
	}
	return ids
}

// listen is the command line of a receiver, whose secret it tells the receiver.
func (p *person) listen(r *webhookReceiver, more ...string) []string {
	p.t.Helper()
	r.secret = strings.TrimSpace(p.kizo("listen", "--forward-to", r.URL+"/hook?x=y", "--print-secret"))
	return append([]string{"listen", "--forward-to", r.URL + "/hook?x=y"}, more...)
}

// events returns the events of a person, by the lines of kizo events.
func (p *person) events() (ids, lines []string) {
	p.t.Helper()
	for line := range strings.Lines(p.data("events", "--since", "1h", "--until-live", "-o", "jsonl")) {
		var e struct {
			ID string `json:"event_id"`
		}
		testkit.Must(p.t, json.Unmarshal([]byte(line), &e))
		ids, lines = append(ids, e.ID), append(lines, strings.TrimSpace(line))
	}
	return ids, lines
}

// twoPeople returns two users; the first one has money.
func twoPeople(t *testing.T) (ada, bob *person) {
	t.Helper()
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada, bob = newPerson(t, kizod.URL, "ada"), newPerson(t, kizod.URL, "bob")
	ada.kizo("deposit", "1000", "--wait=30s")
	return ada, bob
}

// TestListen: the receiver gets all events once, in order, with signatures that the library of the
// specification accepts. The next start continues.
func TestListen(t *testing.T) {
	ada, bob := twoPeople(t)
	r := newReceiver(t)
	for _, memo := range []string{"lunch", `quote " and <tag> & 山田 🍕`, "=1+1"} {
		ada.kizo("transfer", "@"+bob.handle, "1", "-m", memo)
	}
	listen := ada.listen(r, "--since", "1h", "--until-live", "-o", "jsonl")
	printed := ada.kizo(listen...)
	ids, lines := ada.events()
	testkit.Equal(t, "events", strings.Join(r.ids(), " "), strings.Join(ids, " "))
	for i, one := range r.requests {
		var sent, shown any
		testkit.Must(t, json.Unmarshal(one.Data, &sent))
		testkit.Must(t, json.Unmarshal([]byte(lines[i]), &shown))
		if fmt.Sprint(sent) != fmt.Sprint(shown) || one.Type != "transfer."+sent.(map[string]any)["state"].(string) {
			t.Errorf("event %d: %s, %s, want %s", i, one.Type, one.Data, lines[i])
		}
		testkit.Contains(t, printed, lines[i])
	}
	if strings.Contains(printed, r.secret) {
		t.Error("the secret was printed")
	}
	ada.kizo(listen...)
	if len(r.ids()) != len(ids) {
		t.Error("an event was sent again")
	}
	ada.kizo("transfer", "@"+bob.handle, "2")
	ada.kizo(listen...)
	if got := r.ids(); len(got) != len(ids)+1 {
		t.Errorf("%d requests after one more event, want %d", len(got), len(ids)+1)
	}

	// While a process listens, a second one with the same cursor ends with an error. Ctrl-C ends
	// the first one.
	waiting := ada.listenInBackground(ada.listen(r)...)
	out, code := ada.kizoFails(listen...)
	if code != exitFailure || !strings.Contains(out, "another process of kizo delivers these events") {
		t.Errorf("exit code %d: %s", code, out)
	}
	ada.kizo("transfer", "@"+bob.handle, "3")
	<-r.got
	testkit.Must(t, waiting.Process.Signal(os.Interrupt))
	_ = waiting.Wait()
	testkit.Equal(t, "exit code after Ctrl-C", waiting.ProcessState.ExitCode(), exitInterrupted)
}

// listenInBackground starts a command and returns when it waits for events.
func (p *person) listenInBackground(args ...string) *exec.Cmd {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "kizo", args...)
	command.Env = append(os.Environ(), p.env...)
	read, write := io.Pipe()
	command.Stderr = write
	testkit.Must(p.t, command.Start())
	var seen bytes.Buffer
	for buffer := make([]byte, 4096); !strings.Contains(seen.String(), "Waiting for events"); {
		n, err := read.Read(buffer)
		testkit.Must(p.t, err)
		seen.Write(buffer[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	return command
}

// kizoFails runs a command that fails.
func (p *person) kizoFails(args ...string) (out string, code int) {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "kizo", args...)
	command.Env = append(os.Environ(), p.env...)
	text, err := command.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		p.t.Fatalf("kizo %v: %v\n%s", args, err, text)
	}
	return string(text), command.ProcessState.ExitCode()
}

// checkAtLeastOnce checks that each event was delivered, and that only the last one before a kill
// was repeated.
func checkAtLeastOnce(t *testing.T, got, want []string, kills int) {
	t.Helper()
	next, repeated := 0, 0
	for i, id := range got {
		switch {
		case next < len(want) && id == want[next]:
			next++
		case next > 0 && id == want[next-1]:
			repeated++
		default:
			t.Fatalf("request %d is event %s, after %d of %d events", i, id, next, len(want))
		}
	}
	if next != len(want) || repeated > kills {
		t.Errorf("%d of %d events were delivered; %d repeated after %d kills", next, len(want), repeated, kills)
	}
	t.Logf("%d events, %d kills, %d repeated", len(want), kills, repeated)
}

// TestListenSurvivesKills kills kizo listen at random moments around the answers of the receiver.
// In the end the receiver has every event, in order, and only the last one before a kill twice.
func TestListenSurvivesKills(t *testing.T) {
	const kills = 12
	ada, bob := twoPeople(t)
	ada.pays(bob, 6*kills)
	r := newReceiver(t)
	var running *exec.Cmd
	left := make(chan int, 1) // requests until the next kill
	r.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
		n := <-left
		moment := time.Duration(rand.Int64N(int64(4*time.Millisecond))) - time.Millisecond
		if n == 0 && moment < 0 {
			_ = running.Process.Kill() // before the answer
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		if n == 0 && moment >= 0 {
			time.AfterFunc(moment, func() { _ = running.Process.Kill() }) // while the cursor moves
		}
		left <- n - 1
	}
	listen := ada.listen(r, "--since", "1h", "--until-live")
	for range kills {
		left <- rand.IntN(5)
		running = exec.CommandContext(t.Context(), "kizo", listen...)
		running.Env = append(os.Environ(), ada.env...)
		testkit.Must(t, running.Start())
		_ = running.Wait()
		<-left
	}
	left <- -1
	ada.kizo(listen...)
	want, _ := ada.events()
	checkAtLeastOnce(t, r.ids(), want, kills)
}

// pays makes a number of transfers.
func (p *person) pays(to *person, count int) {
	p.t.Helper()
	var rows strings.Builder
	rows.WriteString("to,amount,currency,id\n")
	for i := range count {
		fmt.Fprintf(&rows, "@%s,0.%02d,USD,%d\n", to.handle, 1+i%90, i)
	}
	file := filepath.Join(p.dir, "pays.csv")
	testkit.Must(p.t, os.WriteFile(file, []byte(rows.String()), 0o600))
	p.kizo("pay", "--file", file, "--run", "pays")
}

// eventOf returns an event as the client has it.
func eventOf(id string) client.Event {
	memo := "\x1b[2Jmemo"
	return client.Event{ID: id, Type: client.EventTransfer, At: time.Now(), Transfer: &client.Transfer{State: client.Posted, Memo: &memo}}
}

// TestWebhookRetries: a request is repeated with the same id until a 2xx, after each kind of
// failure.
func TestWebhookRetries(t *testing.T) {
	r := newReceiver(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	answers := []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, // EOF
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "999999999")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, // no answer
		func(w http.ResponseWriter, r *http.Request) { // an answer without an end
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
	}
	r.answer = func(w http.ResponseWriter, request *http.Request, n int) { answers[n](w, request) }
	w := newWorld(t, nil)
	w.real = true
	hook, slept := newHook(t, w, r)
	hook.http.Timeout = time.Second // of the attempt without an answer
	testkit.Must(t, hook.send(t.Context(), eventOf("evt1")))
	if ids := r.ids(); len(ids) != len(answers) || slices.ContainsFunc(ids, func(id string) bool { return id != "evt1" }) {
		t.Errorf("%d requests: %v", len(ids), ids)
	}
	for i, d := range *slept {
		least, most := firstWebhookPause/2, min(firstWebhookPause<<i, maxWebhookPause)
		if asked := map[int]time.Duration{1: 90 * time.Second, 5: maxRetryAfter}[i]; asked > 0 {
			least, most = asked, asked
		}
		if d < least || d > most {
			t.Errorf("pause %d is %s, not from %s to %s", i, d, least, most)
		}
	}
	if strings.ContainsAny(w.err.String(), "\x1b") || strings.Contains(w.err.String(), "/hook") {
		t.Errorf("%q", &w.err)
	}

	// It gives up after the maximum, and when the receiver wants no more.
	r.answer = func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusTeapot) }
	hook.maxAttempts = 3
	before := len(r.ids())
	if err := hook.send(t.Context(), eventOf("evt2")); exitCode(err) != exitFailure || len(r.ids()) != before+3 {
		t.Errorf("%v after %d attempts", err, len(r.ids())-before)
	}
	hook.maxAttempts = 0
	r.answer = func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusGone) }
	if err := hook.send(t.Context(), eventOf("evt3")); exitCode(err) != exitFailure || !errors.Is(err, errGone) {
		t.Error(err)
	}

	// A second secret signs too, for receivers that have either.
	r.answer = nil
	hook.secrets = append([][]byte{bytes.Repeat([]byte("x"), 32)}, hook.secrets...)
	testkit.Must(t, hook.send(t.Context(), eventOf("evt4")))
}

// newHook returns a webhook for a receiver that does not sleep.
func newHook(t *testing.T, w *world, r *webhookReceiver) (*webhook, *[]time.Duration) {
	t.Helper()
	secret := bytes.Repeat([]byte("k"), 32)
	r.secret = formatSecret(secret)
	slept := new([]time.Duration)
	a := w.app()
	http, err := a.webhookClient(time.Minute)
	testkit.Must(t, err)
	return &webhook{app: a, url: r.URL + "/hook", http: http, secrets: [][]byte{secret},
		sleep: func(_ context.Context, d time.Duration) error {
			*slept = append(*slept, d)
			return nil
		}}, slept
}

// TestAnUnacceptedEventIsNotSkipped: the cursor stays before an event that the receiver does not
// accept, even if the error is one that ends streams (EOF).
func TestAnUnacceptedEventIsNotSkipped(t *testing.T) {
	ada, bob := twoPeople(t)
	ada.kizo("transfer", "@"+bob.handle, "1")
	r := newReceiver(t)
	r.answer = func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
	}
	listen := ada.listen(r, "--since", "1h", "--until-live", "--max-attempts", "1")
	out, code := ada.kizoFails(listen...)
	if code != exitFailure || !strings.Contains(out, "the cursor stays before it") {
		t.Errorf("exit code %d: %s", code, out)
	}
	ada.kizo(listen...)
	want, _ := ada.events()
	checkAtLeastOnce(t, r.ids(), want, 1)
}

// TestSecretsOfWebhooks: a secret is in a file that only its owner can read, or in a variable, and
// never in an output.
func TestSecretsOfWebhooks(t *testing.T) {
	ada, _ := twoPeople(t)
	r := newReceiver(t)
	args := ada.listen(r, "--since", "1h", "--until-live")
	files, err := filepath.Glob(filepath.Join(ada.dir, "state", "kizo", "listen", "*.secret"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	testkit.Must(t, os.Chmod(files[0], 0o644))
	if out, code := ada.kizoFails(args...); code == 0 || !strings.Contains(out, "accessible to other users") || strings.Contains(out, r.secret) {
		t.Errorf("exit code %d: %s", code, out)
	}
	testkit.Must(t, os.Chmod(files[0], 0o600))

	other := formatSecret(bytes.Repeat([]byte("o"), 24))
	r.secret = other
	ada.env = append(ada.env, secretVariable+"="+other)
	if out := ada.kizo(args...); strings.Contains(out, other) || len(r.ids()) == 0 {
		t.Errorf("%d requests: %s", len(r.ids()), out)
	}
	for _, bad := range []string{"whsec_", "whsec_canary", "canary", "whsec_" + strings.Repeat("A", 200), other + " " + other + " " + other} {
		ada.env[len(ada.env)-1] = secretVariable + "=" + bad
		if out, code := ada.kizoFails(args...); code != exitUsage || strings.Contains(out, "canary") || strings.Contains(out, "AAAA") {
			t.Errorf("exit code %d: %s", code, out)
		}
	}
}

func TestForwardURLs(t *testing.T) {
	for _, bad := range []string{
		"http://192.0.2.1/hook", "http://shop.example", "ftp://localhost/", "localhost:80", "https://", "https://user:pw@shop.example/",
		"https://shop.example/#x", "http://localhost.shop.example/", "\x1b]52;c;x\x07", "http://[::2]/",
	} {
		w := newWorld(t, nil)
		w.expect(exitUsage, "listen", "--forward-to", bad)
		if strings.ContainsAny(w.err.String(), "\x1b\x07") {
			t.Errorf("%q", &w.err)
		}
	}
	for _, good := range []string{"https://shop.example/x?y", "http://localhost:1/", "http://127.0.0.2", "http://[::1]:8/"} {
		if _, err := newWorld(t, nil).app().webhookURL(good); err != nil {
			t.Error(good, err)
		}
	}
	w := newWorld(t, nil)
	w.env["KIZO_INSECURE_HTTP"] = "1"
	if _, err := w.app().webhookURL("http://shop.example/"); err != nil {
		t.Error(err)
	}
	w.expect(exitUsage, "listen")
	w.expect(exitUsage, "listen", "--forward-to", "https://shop.example", "--max-attempts", "-1")
	w.expect(exitUsage, "listen", "--forward-to", "https://shop.example", "--timeout", "0s")
}

// TestEventsExec: the command gets each event once, in order, with an environment without secrets.
// If it fails too often, kizo ends, and the next start repeats that event.
func TestEventsExec(t *testing.T) {
	ada, bob := twoPeople(t)
	ada.kizo("transfer", "@"+bob.handle, "1", "-m", "$(touch hacked) `id` '")
	file := filepath.Join(ada.dir, "out")
	args := func(command string) []string {
		return []string{"events", "--since", "1h", "--until-live", "--exec", command, "--cursor", filepath.Join(ada.dir, "cursor"), "--attempts", "1"}
	}
	out, code := ada.kizoFails(args("exit 7")...)
	if code != exitFailure || !strings.Contains(out, "exit status 7") {
		t.Errorf("exit code %d: %s", code, out)
	}
	ada.env = append(ada.env, secretVariable+"=canary-webhook")
	ada.kizo(args("cat >> " + file + "; env >> " + file + ".env; echo $$")...)
	_, lines := ada.events()
	got, err := os.ReadFile(file)
	testkit.Must(t, err)
	testkit.Equal(t, "events", strings.TrimSpace(string(got)), strings.Join(lines, "\n"))
	environment, err := os.ReadFile(file + ".env")
	testkit.Must(t, err)
	if strings.Contains(string(environment), "canary") || !strings.Contains(string(environment), "KIZO_SERVER=") {
		t.Errorf("%s", environment)
	}
	ada.kizo(args("cat >> " + file)...)
	if again, _ := os.ReadFile(file); !bytes.Equal(again, got) {
		t.Error("an event was repeated")
	}
	for _, bad := range [][]string{{"--exec", "cat", "--json"}, {"--exec", "cat", "--attempts", "0"}, {"--cursor", "x"}, {"--exec", ""}} {
		if out, code := ada.kizoFails(append([]string{"events"}, bad...)...); code != exitUsage {
			t.Errorf("%q: exit code %d: %s", bad, code, out)
		}
	}
}

// TestEventsExecSurvivesKills kills kizo at moments around the end of the command: no event is
// missing, and the events come in order.
func TestEventsExecSurvivesKills(t *testing.T) {
	const kills = 12
	const script = `cat >> out; n=$(wc -l < out); test $((n %% 5)) = 0 || exit 0
		if test $((n %% 2)) = 0; then kill -9 $PPID; else (sleep 0.00$((n %% 7)); kill -9 $PPID) > /dev/null 2>&1 & fi`
	ada, bob := twoPeople(t)
	ada.pays(bob, 5*kills)
	file := filepath.Join(ada.dir, "out")
	killed := 0
	for done := false; !done; {
		running := exec.CommandContext(t.Context(), "kizo", "events", "--since", "1h", "--until-live",
			"--exec", strings.ReplaceAll(script, "%%", "%"), "--cursor", "cursor")
		running.Env, running.Dir = append(os.Environ(), ada.env...), ada.dir
		_ = running.Run()
		if done = running.ProcessState.Success(); !done {
			killed++
		}
	}
	if killed < kills/2 {
		t.Errorf("kizo was killed %d times", killed)
	}
	want, _ := ada.events()
	content, err := os.ReadFile(file)
	testkit.Must(t, err)
	var first []string // without the repeated ones
	lines := 0
	for line := range strings.Lines(string(content)) {
		var e struct {
			ID string `json:"event_id"`
		}
		testkit.Must(t, json.Unmarshal([]byte(line), &e))
		if !slices.Contains(first, e.ID) {
			first = append(first, e.ID)
		}
		lines++
	}
	testkit.Equal(t, "events", strings.Join(first, "\n"), strings.Join(want, "\n"))
	t.Logf("%d events, %d lines, %d kills", len(want), lines, killed)
}

// TestSignalsReachTheCommand: SIGTERM reaches all processes of the command, and kizo waits for
// their end. A command that ends with 0 has accepted the event.
func TestSignalsReachTheCommand(t *testing.T) {
	ada, _ := twoPeople(t)
	started, ended, cursor := filepath.Join(ada.dir, "started"), filepath.Join(ada.dir, "ended"), filepath.Join(ada.dir, "cursor")
	testkit.Must(t, syscall.Mkfifo(started, 0o600))
	script := "trap 'echo term > " + ended + "; exit 0' TERM; sh -c 'sleep 1000' | cat & echo x > " + started + "; wait"
	running := exec.CommandContext(t.Context(), "kizo", "events", "--since", "1h", "--exec", script, "--cursor", cursor)
	running.Env = append(os.Environ(), ada.env...)
	testkit.Must(t, running.Start())
	_, err := os.ReadFile(started) // waits for the command
	testkit.Must(t, err)
	testkit.Must(t, running.Process.Signal(syscall.SIGTERM))
	_ = running.Wait()
	testkit.Equal(t, "exit code", running.ProcessState.ExitCode(), exitInterrupted)
	if got, err := os.ReadFile(ended); err != nil || string(got) != "term\n" {
		t.Errorf("%q, %v", got, err)
	}
	ids, _ := ada.events()
	content, err := os.ReadFile(cursor)
	testkit.Must(t, err)
	testkit.Contains(t, string(content), `"after":"`+ids[0]+`"`)
}
