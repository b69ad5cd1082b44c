package sim

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/JDevAman/kizo/server/bank"
)

// A Scenario is what the bank does with one payment, whatever its other faults are.
type Scenario struct {
	Name string // deposit.rejected
	Help string

	direction bank.Direction
	first     Faults // of the first submission
	later     Faults // of every other request about the payment
}

// Scenarios returns all scenarios.
func Scenarios() []Scenario {
	behaviors := []struct {
		name, help   string
		first, later Faults
	}{
		{"confirmed", "executed and answered at once", Faults{}, Faults{}},
		{"rejected", "rejected, as for an account without money",
			Faults{RejectDeposits: 1, RejectWithdrawals: 1}, Faults{RejectDeposits: 1, RejectWithdrawals: 1}},
		{"late", "executed after 8 s, which is after kizod has stopped waiting", Faults{Hang: 1, HangFor: 8 * time.Second}, Faults{}},
		{"unanswered", "executed, and the connection is closed without an answer", Faults{CutAfter: 1}, Faults{}},
		{"failed", "the first attempt gets HTTP 500 or 503, and nothing is executed in it", Faults{Fail: 1}, Faults{}},
		{"callback-twice", "the callback comes twice", Faults{CallbackDuplicate: 1, CallbackDelay: time.Second}, Faults{}},
		{"callback-late", "the callback comes up to 5 s after the answer", Faults{CallbackReorder: 1, CallbackDelay: 5 * time.Second}, Faults{}},
		{"contradicted", "the first answer has a wrong amount or the opposite state", Faults{Lies: 1}, Faults{}},
		{"disputed", "every answer has a wrong amount: an operator has to decide", Faults{Stubborn: 1}, Faults{Stubborn: 1}},
	}
	var all []Scenario
	for _, direction := range []bank.Direction{bank.Deposit, bank.Withdrawal} {
		for _, b := range behaviors {
			all = append(all, Scenario{string(direction) + "." + b.name, b.help, direction, b.first, b.later})
		}
	}
	return all
}

// ErrNoScenario is returned by [Server.Arm] for an unknown name.
var ErrNoScenario = errors.New("mock bank: there is no such scenario")

const (
	// maxArmed is the number of scenarios that wait for their payment, and that of the payments
	// whose scenario is kept; the oldest ones are forgotten.
	maxArmed = 1000

	// armedTime is how long a scenario waits for its payment.
	armedTime = time.Minute
)

// armed are the scenarios of payments.
type armed struct {
	mu      sync.Mutex
	waiting []armedScenario
	refs    []string // in the order of byRef's insertion
	byRef   map[string]Scenario
}

type armedScenario struct {
	Scenario
	amount   int64
	currency string
	until    time.Time
}

// Arm makes the next new payment of this amount, in the direction of the scenario, follow it. It
// waits for the payment for a minute.
func (s *Server) Arm(name string, amount int64, currency string) error {
	all := Scenarios()
	i := slices.IndexFunc(all, func(x Scenario) bool { return x.Name == strings.ToLower(name) })
	if i < 0 {
		return ErrNoScenario
	}
	a := &s.armed
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == maxArmed {
		a.waiting = a.waiting[1:]
	}
	a.waiting = append(a.waiting, armedScenario{all[i], amount, currency, s.cfg.Clock().Add(armedTime)})
	return nil
}

// assign gives a payment that is submitted for the first time the oldest scenario that waits for
// it.
func (s *Server) assign(in bank.Instruction) {
	a := &s.armed
	a.mu.Lock()
	defer a.mu.Unlock()
	now := s.cfg.Clock()
	a.waiting = slices.DeleteFunc(a.waiting, func(x armedScenario) bool { return x.until.Before(now) })
	if _, known := a.byRef[in.Ref]; known {
		return
	}
	i := slices.IndexFunc(a.waiting, func(x armedScenario) bool {
		return x.direction == in.Direction && x.amount == in.Amount && x.currency == in.Currency
	})
	if i < 0 {
		return
	}
	if a.byRef == nil {
		a.byRef = map[string]Scenario{}
	}
	if len(a.refs) == maxArmed {
		delete(a.byRef, a.refs[0])
		a.refs = a.refs[1:]
	}
	a.byRef[in.Ref], a.refs = a.waiting[i].Scenario, append(a.refs, in.Ref)
	a.waiting = slices.Delete(a.waiting, i, i+1)
}

// faultsOf returns the faults of a request about a payment. attempt counts its submissions, from 1.
func (s *Server) faultsOf(ref, op string, attempt uint32) Faults {
	a := &s.armed
	a.mu.Lock()
	scenario, ok := a.byRef[ref]
	a.mu.Unlock()
	switch {
	case !ok:
		return *s.faults.Load()
	case op == opSubmit && attempt == 1:
		return scenario.first
	}
	return scenario.later
}
