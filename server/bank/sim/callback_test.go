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

// callbackReceiver sends all callbacks to received, except the first fail ones, which it answers
// with 500.
func callbackReceiver(t *testing.T, fail int32) (url string, received chan bank.Callback) {
	t.Helper()
	received = make(chan bank.Callback, 64)
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
		received <- cb
	}))
	t.Cleanup(srv.Close)
	return srv.URL, received
}

func withCallbacks(url string, f Faults) func(*Config) {
	return func(c *Config) { c.CallbackURL, c.CallbackSecret, c.Faults = url, "s3cret", f }
}

// A callback is signed, repeats the answer, and is sent again until the receiver accepts it.
func TestCallbackIsSignedAndRetried(t *testing.T) {
	url, received := callbackReceiver(t, 2)
	r := start(t, withCallbacks(url, Faults{RejectWithdrawals: 1}))
	r.callbacks.backoff = time.Millisecond
	c := r.client(t, longTimeout)
	for n, want := range []bank.Outcome{bank.Executed, bank.Rejected} {
		a, err := c.Submit(t.Context(), pay(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(t.Context(), pay(n)); err != nil { // a repeated submission causes no callback
			t.Fatal(err)
		}
		cb := <-received
		if cb.Instruction != pay(n) || cb.Answer != a || a.Outcome != want {
			t.Errorf("callback %+v, answer %+v", cb, a)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if len(received) != 0 {
		t.Errorf("%d callbacks too many", len(received))
	}
}

func TestCallbackDuplicate(t *testing.T) {
	url, received := callbackReceiver(t, 0)
	r := start(t, withCallbacks(url, Faults{CallbackDuplicate: 1}))
	if _, err := r.client(t, longTimeout).Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	if a, b := <-received, <-received; a != b || a.EventID == "" {
		t.Errorf("got %+v and %+v", a, b)
	}
}

// A callback that is delayed arrives after a later one.
func TestCallbackReorder(t *testing.T) {
	url, received := callbackReceiver(t, 0)
	r := start(t, withCallbacks(url, Faults{CallbackReorder: 1, CallbackDelay: maxWait}))
	c := r.client(t, longTimeout)
	if _, err := c.Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Submit(t.Context(), pay(2)); err != nil {
		t.Fatal(err)
	}
	if cb := <-received; cb.Instruction.Ref != pay(2).Ref {
		t.Errorf("got %+v first", cb)
	}
	// Close, in the cleanup of start, does not wait an hour for the delayed one.
}

func TestCallbackGivesUp(t *testing.T) {
	url, received := callbackReceiver(t, callbackAttempts)
	r := start(t, withCallbacks(url, Faults{}))
	r.callbacks.backoff = time.Microsecond
	if _, err := r.client(t, longTimeout).Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	r.callbacks.wg.Wait() // all attempts have ended
	if len(received) != 0 {
		t.Error("a sixth attempt")
	}
}
