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

// Each kind of fault leaves the client not knowing; asked again, the bank tells
// what it did, and it did it once.
func TestEveryFaultIsUnknownThenTheTruth(t *testing.T) {
	for name, tc := range map[string]struct {
		faults   Faults
		timeout  time.Duration
		code     problem.Code
		executed bool // by the faulty attempt already
	}{
		"hang":                   {Faults{Hang: 1, HangFor: maxWait}, impatient, bank.CodeTimeout, false},
		"hang, then 500":         {Faults{Hang: 1, HangFor: time.Nanosecond, HangFails: 1}, patient, bank.CodeHTTPStatus, false},
		"5xx":                    {Faults{Fail: 1}, patient, bank.CodeHTTPStatus, false},
		"latency beyond timeout": {Faults{Latency: maxWait}, impatient, bank.CodeTimeout, false},
		"executed, then cut":     {Faults{CutAfter: 1}, patient, bank.CodeTransport, true},
		"wrong amount":           {Faults{Lies: 1}, patient, bank.CodeContradiction, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, withFaults(tc.faults))
			in := pay(1)
			for in.Ref = ""; ; { // a ref whose first attempt has the lie of this test
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
			if truthOf(t, r, in).Outcome != bank.Executed || len(r.read(t)) != 1 {
				t.Errorf("journal holds %+v", r.read(t))
			}
		})
	}
}

// A stall after the execution: the client gives up while the bank has paid.
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
	ctx, giveUp := context.WithCancel(t.Context())
	go func() { <-stalling; giveUp() }()
	a, err := r.client(t, patient).Submit(ctx, in)
	if a != (bank.Answer{}) || !errors.Is(err, bank.CodeTimeout) {
		t.Fatalf("got %+v, %v", a, err)
	}
	if got, err := r.client(t, patient).Status(t.Context(), in); err != nil || got.Outcome != bank.Executed {
		t.Fatalf("status: %+v, %v", got, err)
	}
}

// Why "not found" is no rejection: the client has left, Status does not know
// the ref, and the bank executes it afterwards.
func TestNotSeenAndExecutedLater(t *testing.T) {
	r := start(t, withFaults(Faults{Hang: 1, HangFor: maxWait}))
	hanging, goOn := make(chan struct{}), make(chan struct{})
	r.wait = func(ctx context.Context, d time.Duration) error {
		if d == maxWait {
			close(hanging)
			<-goOn
		}
		return nil
	}
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := r.client(t, patient).Submit(ctx, pay(1))
		gone <- err
	}()
	<-hanging
	leave()
	if err := <-gone; !errors.Is(err, bank.CodeTimeout) {
		t.Fatal(err)
	}
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	c := r.client(t, patient)
	if a, err := c.Status(t.Context(), pay(1)); err != nil || !a.NotSeen {
		t.Fatalf("status: %+v, %v", a, err)
	}
	close(goOn)
	for a := (bank.Answer{}); a.Outcome != bank.Executed; { // ends, or the test's deadline does
		var err error
		if a, err = c.Status(t.Context(), pay(1)); err != nil {
			t.Fatal(err)
		}
	}
	if journal := r.read(t); len(journal) != 1 {
		t.Fatalf("journal holds %+v", journal)
	}
}

// A lie about the status cannot be seen in the answer. The journal, Status and
// the statement keep the truth, and so settlement can find the contradiction.
func TestOppositeStatusIsContradictedLater(t *testing.T) {
	for name, tc := range map[string]struct {
		reject float64
		said   bank.Outcome
		truth  bank.Outcome
	}{
		"rejected although executed": {0, bank.Rejected, bank.Executed},
		"executed although rejected": {1, bank.Executed, bank.Rejected},
	} {
		r := start(t, withFaults(Faults{Lies: 1, RejectWithdrawals: tc.reject}))
		in := pay(1)
		for in.Ref = "z"; r.faults.Load().planFor(7, opSubmit, in.Ref, 1).lie != oppositeStatus; {
			in.Ref += "z"
		}
		c := r.client(t, patient)
		said, err := c.Submit(t.Context(), in)
		if err != nil || said.Outcome != tc.said {
			t.Errorf("%s: said %+v, %v", name, said, err)
		}
		if got, err := c.Status(t.Context(), in); err != nil || got.Outcome != tc.truth {
			t.Errorf("%s: status %+v, %v", name, got, err)
		}
		if page, err := c.Statement(t.Context(), 0, 1); err != nil || page.Entries[0].Outcome != tc.truth {
			t.Errorf("%s: statement %+v, %v", name, page, err)
		}
	}
}

func TestRejectionBelongsToTheRef(t *testing.T) {
	half := Faults{RejectDeposits: 0.5, RejectWithdrawals: 0.5}
	r, twin := start(t, withFaults(half)), start(t, withFaults(Faults{Fail: 1}))
	c, other := r.client(t, patient), twin.client(t, patient)
	for n := range 40 { // the twin decides at the second attempt
		_, _ = other.Submit(t.Context(), pay(n))
	}
	if err := twin.SetFaults(half); err != nil {
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
	// Real time is no part of the plan: keep the shares, drop the waits.
	quick := hell
	quick.Latency, quick.HangFor, quick.StallFor = 0, 0, 0
	outcomes := func(seed uint64) (seen []problem.Code) {
		r := start(t, func(c *Config) { c.Seed, c.Faults = seed, quick })
		c := r.client(t, patient)
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

// The presets are what they say, measured over many refs.
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
		add("classic never", c.cut || c.lie != truth || (c.fail != 0 && c.wait == 0))
		add("hell cut", h.cut)
		add("hell fail", h.fail != 0)
		add("hell lie", h.lie != truth)
		delays := hell.callbackPlan(1, in.Ref)
		add("hell callbacks", len(delays) == 2 || delays[0] > 0)
		add("calm", (Faults{}).planFor(1, opSubmit, in.Ref, 1) != plan{})
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

// Every lie is written down before it is told, and about a stubborn ref the bank
// lies however often it is asked; the journal and the statement stay true.
func TestLiesAreWrittenDown(t *testing.T) {
	r := start(t, withFaults(Faults{Stubborn: 1}))
	in := pay(1)
	client := r.client(t, patient)
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
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Amount != in.Amount {
		t.Errorf("the statement says %+v, %v", page, err)
	}
	if err := r.SetFaults(Faults{}); err != nil {
		t.Fatal(err)
	}
	if truthOf(t, r, in).Outcome != bank.Executed {
		t.Error("healed, it does not tell the truth")
	}
	if lies, err := ReadLies(filepath.Join(t.TempDir(), "none")); err != nil || len(lies) != 0 {
		t.Errorf("a bank that never lied: %v, %v", lies, err)
	}
}
