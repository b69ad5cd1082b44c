package sim

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// mailbox receives callbacks; the first fail of them are answered with 500.
func mailbox(t *testing.T, fail int32) (url string, mail chan bank.Callback) {
	t.Helper()
	mail = make(chan bank.Callback, 64)
	var left atomic.Int32
	left.Store(fail)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		err = bank.VerifyCallback(r.Header.Get(bank.SignatureHeader), body, []byte("s3cret"), time.Now(), 5*time.Minute)
		if err != nil {
			t.Error(err)
		}
		cb, err := bank.ParseCallback(body)
		if err != nil {
			t.Error(err)
		}
		if left.Add(-1) >= 0 {
			w.WriteHeader(500)
			return
		}
		mail <- cb
	}))
	t.Cleanup(srv.Close)
	return srv.URL, mail
}

func withCallbacks(url string, f Faults) func(*Config) {
	return func(c *Config) { c.CallbackURL, c.CallbackSecret, c.Faults = url, "s3cret", f }
}

func TestCallbackIsSignedAndRetried(t *testing.T) {
	url, mail := mailbox(t, 2)
	r := start(t, withCallbacks(url, Faults{RejectWithdrawals: 1}))
	r.post.gap = time.Millisecond
	c := r.client(t, patient)
	for n, want := range []bank.Outcome{bank.Executed, bank.Rejected} {
		a, err := c.Submit(t.Context(), pay(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(t.Context(), pay(n)); err != nil { // a replay calls nobody back
			t.Fatal(err)
		}
		cb := <-mail
		if cb.Instruction != pay(n) || cb.Answer != a || a.Outcome != want {
			t.Errorf("callback %+v, answer %+v", cb, a)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if len(mail) != 0 {
		t.Errorf("%d callbacks too many", len(mail))
	}
}

func TestCallbackDuplicate(t *testing.T) {
	url, mail := mailbox(t, 0)
	r := start(t, withCallbacks(url, Faults{CallbackDuplicate: 1}))
	if _, err := r.client(t, patient).Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	if a, b := <-mail, <-mail; a != b || a.EventID == "" {
		t.Errorf("got %+v and %+v", a, b)
	}
}

// A callback that is held back is overtaken by a later one.
func TestCallbackReorder(t *testing.T) {
	url, mail := mailbox(t, 0)
	r := start(t, withCallbacks(url, Faults{CallbackReorder: 1, CallbackDelay: maxWait}))
	c := r.client(t, patient)
	if _, err := c.Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(t.Context(), pay(2)); err != nil {
		t.Fatal(err)
	}
	if cb := <-mail; cb.Instruction.Ref != pay(2).Ref {
		t.Errorf("got %+v first", cb)
	}
	// Close does not wait an hour for the one that is held back (start's cleanup).
}

func TestCallbackGivesUp(t *testing.T) {
	url, mail := mailbox(t, callbackTries)
	r := start(t, withCallbacks(url, Faults{}))
	r.post.gap = time.Microsecond
	if _, err := r.client(t, patient).Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	r.post.wg.Wait() // all tries are over
	if len(mail) != 0 {
		t.Error("a sixth try")
	}
}
