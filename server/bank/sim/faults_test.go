package sim

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/problem"
)

// After each kind of fault the outcome is unknown to the client. The next request gets the
// outcome, and the payment was executed once.
func TestOutcomeIsKnownAfterEachFault(t *testing.T) {
	for name, tc := range map[string]struct {
		faults   Faults
		timeout  time.Duration
		code     problem.Code
		executed bool // already by the attempt with the fault
	}{
		"hang":                   {Faults{Hang: 1, HangFor: maxWait}, shortTimeout, bank.CodeTimeout, false},
		"hang, then 500":         {Faults{Hang: 1, HangFor: time.Nanosecond, HangFails: 1}, longTimeout, bank.CodeHTTPStatus, false},
		"5xx":                    {Faults{Fail: 1}, longTimeout, bank.CodeHTTPStatus, false},
		"latency beyond timeout": {Faults{Latency: maxWait}, shortTimeout, bank.CodeTimeout, false},
		"executed, no answer":    {Faults{CutAfter: 1}, longTimeout, bank.CodeTransport, true},
		"wrong amount":           {Faults{Lies: 1}, longTimeout, bank.CodeContradiction, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, withFaults(tc.faults))
			in := pay(1)
			for in.Ref = ""; ; { // find a reference whose first attempt has a lie about the amount
				in.Ref += "x"
				if r.faults.Load().planFor(7, opSubmit, in.Ref, 1).lie != oppositeStatus {
					break
				}
			}
			a, err := r.client(t, tc.timeout).Submit(t.Context(), in)
			if a != (bank.Answer{}) || !errors.Is(err, tc.code) {
				t.Fatalf("got %+v, %v; want unknown, %v", a, err, tc.code)
			}
			if got := len(r.read(t)) == 1; got != tc.executed {
				t.Errorf("executed: %v, want %v", got, tc.executed)
			}
			if outcome(t, r, in).Outcome != bank.Executed || len(r.read(t)) != 1 {
				t.Errorf("journal holds %+v", r.read(t))
			}
		})
	}
}

// The client cancels a request that the bank has executed and does not answer.
func TestExecutedThenTimeout(t *testing.T) {
	r := start(t, withFaults(Faults{CutAfter: 1, StallFor: maxWait}))
	in := pay(1)
	for in.Ref = "y"; r.faults.Load().planFor(7, opSubmit, in.Ref, 1).stall == 0; {
		in.Ref += "y"
	}
	stalling := make(chan struct{})
	r.wait = func(ctx context.Context, d time.Duration) error {
		if d == maxWait {
			close(stalling)
		}
		return waitFor(ctx, d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-stalling; cancel() }()
	a, err := r.client(t, longTimeout).Submit(ctx, in)
	if a != (bank.Answer{}) || !errors.Is(err, bank.CodeTimeout) {
		t.Fatalf("got %+v, %v", a, err)
	}
	if got, err := r.client(t, longTimeout).Status(t.Context(), in); err != nil || got.Outcome != bank.Executed {
		t.Fatalf("status: %+v, %v", got, err)
	}
}

// A 404 is not a rejection: after the client canceled, Status does not know the reference, and
// the bank executes the payment later.
func TestNotSeenAndExecutedLater(t *testing.T) {
	r := start(t, withFaults(Faults{Hang: 1, HangFor: maxWait}))
	hanging, proceed := make(chan struct{}), make(chan struct{})
	r.wait = func(ctx context.Context, d time.Duration) error {
		if d == maxWait {
			close(hanging)
			<-proceed
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := r.client(t, longTimeout).Submit(ctx, pay(1))
		gone <- err
	}()
	<-hanging
	cancel()
	if err := <-gone; !errors.Is(err, bank.CodeTimeout) {
		t.Fatal(err)
	}
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	c := r.client(t, longTimeout)
	if a, err := c.Status(t.Context(), pay(1)); err != nil || !a.NotSeen {
		t.Fatalf("status: %+v, %v", a, err)
	}
	close(proceed)
	for a := (bank.Answer{}); a.Outcome != bank.Executed; { // until the timeout of the test
		var err error
		if a, err = c.Status(t.Context(), pay(1)); err != nil {
			t.Fatal(err)
		}
	}
	if journal := r.read(t); len(journal) != 1 {
		t.Fatalf("journal holds %+v", journal)
	}
}

// A client cannot detect a lie about the status in the answer to Submit. Status and the statement
// contradict it.
func TestOppositeStatusIsContradictedLater(t *testing.T) {
	for name, tc := range map[string]struct {
		reject float64
		said   bank.Outcome
		real   bank.Outcome
	}{
		"rejected although executed": {0, bank.Rejected, bank.Executed},
		"executed although rejected": {1, bank.Executed, bank.Rejected},
	} {
		r := start(t, withFaults(Faults{Lies: 1, RejectWithdrawals: tc.reject}))
		in := pay(1)
		for in.Ref = "z"; r.faults.Load().planFor(7, opSubmit, in.Ref, 1).lie != oppositeStatus; {
			in.Ref += "z"
		}
		c := r.client(t, longTimeout)
		said, err := c.Submit(t.Context(), in)
		if err != nil || said.Outcome != tc.said {
			t.Errorf("%s: said %+v, %v", name, said, err)
		}
		if got, err := c.Status(t.Context(), in); err != nil || got.Outcome != tc.real {
			t.Errorf("%s: status %+v, %v", name, got, err)
		}
		if page, err := c.Statement(t.Context(), 0, 1); err != nil || page.Lines[0].Outcome != tc.real {
			t.Errorf("%s: statement %+v, %v", name, page, err)
		}
	}
}

// A rejection depends on the seed and the reference, not on the attempt.
func TestRejectionDependsOnTheReference(t *testing.T) {
	half := Faults{RejectDeposits: 0.5, RejectWithdrawals: 0.5}
	r, second := start(t, withFaults(half)), start(t, withFaults(Faults{Fail: 1}))
	c, other := r.client(t, longTimeout), second.client(t, longTimeout)
	for n := range 40 { // the second bank decides at the second attempt
		_, _ = other.Submit(t.Context(), pay(n))
	}
	if err := second.SetFaults(half); err != nil {
		t.Fatal(err)
	}
	count := map[bank.Outcome]int{}
	for n := range 40 {
		first, err := c.Submit(t.Context(), pay(n))
		if err != nil {
			t.Fatal(err)
		}
		second, err := c.Submit(t.Context(), pay(n))
		if err != nil || first != second {
			t.Fatalf("%d: %+v, then %+v, %v", n, first, second, err)
		}
		if late, err := other.Submit(t.Context(), pay(n)); err != nil || late.Outcome != first.Outcome {
			t.Errorf("%d: %+v, and from the same seed %+v, %v", n, first, late, err)
		}
		if (first.Outcome == bank.Rejected) != (first.Reason != "") {
			t.Errorf("%d: %+v", n, first)
		}
		count[first.Outcome]++
	}
	if count[bank.Executed] < 8 || count[bank.Rejected] < 8 {
		t.Errorf("half of 40 should be rejected: %v", count)
	}
}

func TestSameSeedSameFaults(t *testing.T) {
	hell, err := Preset("hell")
	if err != nil {
		t.Fatal(err)
	}
	// The waits are not part of the comparison: keep the shares only.
	quick := hell
	quick.Latency, quick.HangFor, quick.StallFor = 0, 0, 0
	outcomes := func(seed uint64) (seen []problem.Code) {
		r := start(t, func(c *Config) { c.Seed, c.Faults = seed, quick })
		c := r.client(t, longTimeout)
		for n := range 120 {
			_, err := c.Submit(t.Context(), pay(n%40)) // three attempts each
			seen = append(seen, bank.CodeOf(err))
		}
		return seen
	}
	first, second, other := outcomes(1), outcomes(1), outcomes(2)
	same := 0
	for i := range first {
		if first[i] != second[i] {
			t.Fatalf("request %d: %q, then %q", i, first[i], second[i])
		}
		if first[i] == other[i] {
			same++
		}
	}
	if same == len(first) {
		t.Error("another seed gives the same run")
	}
	for n := range 50 {
		a, b := hell.planFor(9, opSubmit, pay(n).Ref, 3), hell.planFor(9, opSubmit, pay(n).Ref, 3)
		if a != b {
			t.Fatalf("plans differ: %+v, %+v", a, b)
		}
	}
}

// The shares of the presets, measured over many references.
func TestPresetShares(t *testing.T) {
	const refs = 20_000
	classic, _ := Preset("classic")
	hell, _ := Preset("hell")
	count := map[string]float64{}
	add := func(name string, is bool) {
		if is {
			count[name] += 1.0 / refs
		}
	}
	for n := range refs {
		in := pay(n)
		in.Direction = bank.Deposit
		c, h := classic.planFor(1, opSubmit, in.Ref, 1), hell.planFor(1, opSubmit, in.Ref, 1)
		add("classic hang", c.wait == 5*time.Second)
		add("classic fail", c.fail == 500)
		add("classic reject deposit", classic.rejects(1, in))
		in.Direction = bank.Withdrawal
		add("classic reject withdrawal", classic.rejects(1, in))
		add("classic never", c.cut || c.lie != noLie || (c.fail != 0 && c.wait == 0))
		add("hell cut", h.cut)
		add("hell fail", h.fail != 0)
		add("hell lie", h.lie != noLie)
		delays := hell.callbackPlan(1, in.Ref)
		add("hell callbacks", len(delays) == 2 || delays[0] > 0)
		add("calm", (Faults{}).planFor(1, opSubmit, in.Ref, 1) != faultPlan{})
	}
	for name, want := range map[string]float64{
		"classic hang": 0.05, "classic fail": 0.02, "classic reject deposit": 0.05, "classic reject withdrawal": 0.10,
		"classic never": 0, "hell cut": 0.30, "hell fail": 0.10 + 0.9*0.02, "hell lie": 0.01,
		"hell callbacks": 0.19, "calm": 0,
	} {
		if math.Abs(count[name]-want) > 0.01*math.Sqrt(want*10) {
			t.Errorf("%s: %.4f, want %.4f", name, count[name], want)
		}
	}
}

// Every answer about a stubborn reference is a lie, and every lie is stored. The journal and the
// statement have the real amount.
func TestLiesAreStored(t *testing.T) {
	r := start(t, withFaults(Faults{Stubborn: 1}))
	in := pay(1)
	client := r.client(t, longTimeout)
	if _, err := client.Submit(t.Context(), in); !errors.Is(err, bank.CodeContradiction) {
		t.Fatalf("submit: %v", err)
	}
	for range 2 {
		if _, err := client.Status(t.Context(), in); !errors.Is(err, bank.CodeContradiction) {
			t.Fatalf("status: %v", err)
		}
	}
	lies, err := ReadLies(r.journal)
	if err != nil || len(lies) != 3 || lies[0].Ref != in.Ref || lies[0].Kind != LieAmount || lies[0].At.IsZero() {
		t.Errorf("got %+v, %v", lies, err)
	}
	if entries := r.read(t); len(entries) != 1 || entries[0].Amount != in.Amount {
		t.Errorf("the journal holds %+v", entries)
	}
	page, err := client.Statement(t.Context(), 0, 10)
	if err != nil || len(page.Lines) != 1 || page.Lines[0].Amount != in.Amount {
		t.Errorf("the statement says %+v, %v", page, err)
	}
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	if outcome(t, r, in).Outcome != bank.Executed {
		t.Error("without faults the outcome is not executed")
	}
	if lies, err := ReadLies(filepath.Join(t.TempDir(), "none")); err != nil || len(lies) != 0 {
		t.Errorf("a bank that never lied: %v, %v", lies, err)
	}
}
