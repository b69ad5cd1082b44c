package ledger_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/JDevAman/kizo/money"
)

// A script lists what the property test does to the ledger. rapid generates it as a plain value, so
// that it can be shrunk, and run without rapid.
//
//	phase ── first the marks, one after the other: freeze, claim, lapse, open
//	      └─ then the lanes, concurrently, a goroutine each: steps in order
//
// Users and targets are indices, which are resolved when the phase begins.
type script []phase

type phase struct {
	marks []mark
	lanes [][]step
}

type markKind int

const (
	freeze markKind = iota
	thaw
	claim // a worker claims a payment, which increases its fence
	lapse // the expiry of an authorization passes
	open  // the user without wallets opens them
	limit // a user asks for another limit of a wallet
	raise // the time has come from which the higher limits hold
)

type mark struct {
	kind markKind
	n    int
}

type stepKind int

const (
	transfer stepKind = iota
	authorize
	withdraw
	deposit
	capture
	void
	reverse
	settle
	preview
	expire
)

var stepNames = []string{"transfer", "authorize", "withdraw", "deposit", "capture", "void", "reverse", "settle", "preview", "expire"}

func (k stepKind) String() string { return stepNames[k] }

type step struct {
	kind      stepKind
	who       int
	payee     int
	target    int
	amount    int64 // in a follow-up, 0 means all of it
	currency  money.Currency
	executed  bool
	stale     bool // settle: use the fence of the previous claim; follow-ups: by user who, not by the receiver
	number    int  // of the step in the script; the step's key unless keyOf is set
	repeatOf  int  // number of the step whose request is repeated, or -1
	keyOf     int  // number of the step whose key is used, or -1
	authorize bool // preview an authorization
	limited   bool // sent with the API key of the user, which has limits
}

func (s step) String() string {
	if s.repeatOf >= 0 {
		return fmt.Sprintf("#%d again #%d", s.number, s.repeatOf)
	}
	return fmt.Sprintf("#%d %s who=%d payee=%d target=%d %d %s executed=%t stale=%t limited=%t keyOf=%d",
		s.number, s.kind, s.who, s.payee, s.target, s.amount, s.currency, s.executed, s.stale, s.limited, s.keyOf)
}

// GoString returns the text that rapid prints for a script that failed.
func (s script) GoString() string { return s.String() }

func (s script) String() string {
	var b strings.Builder
	for i, p := range s {
		fmt.Fprintf(&b, "phase %d marks %v\n", i, p.marks)
		for j, lane := range p.lanes {
			fmt.Fprintf(&b, "  lane %d\n", j)
			for _, step := range lane {
				fmt.Fprintf(&b, "    %s\n", step)
			}
		}
	}
	return b.String()
}

const (
	userCount = 4             // users in a script
	unopened  = userCount - 1 // the user who has no wallet at first
	opening   = 100           // first balance of each wallet, small so that many requests are refused
)

// The key of each user spends in the first currency only, and that of user 2 pays user 0 only.
var keyLimit = modelLimit{perTransfer: 70, perDay: 120}

func keyAllows(from modelWalletKey, payee int, spent, amount int64) bool {
	return from.currency == currencies[0] && keyLimit.allows(spent, amount) && (from.user != 2 || payee == 0)
}

// walletLimits are those that users ask for.
var walletLimits = []modelLimit{{0, 100}, {50, 0}, {40, 120}, {}, {70, 60}}

var amounts = []int64{60, 30, 90, 1, 15, 45, 70, opening}

var currencies = []money.Currency{"USD", "EUR"}

// stepKinds contains each kind as often as its weight. Steps that open a hold and steps that end
// one are the most frequent.
var stepKinds = []stepKind{
	transfer, transfer, transfer, authorize, authorize, withdraw, withdraw, deposit,
	capture, capture, capture, void, reverse, reverse, settle, settle, settle, preview, expire,
}

// scripts generates at most 6 phases of at most 4 lanes of at most 4 steps.
var scripts = rapid.Custom(func(t *rapid.T) script {
	number := 0
	drawStep := func() step {
		s := step{
			kind:     rapid.SampledFrom(stepKinds).Draw(t, "kind"),
			who:      rapid.IntRange(0, userCount-1).Draw(t, "who"),
			payee:    rapid.IntRange(0, userCount-1).Draw(t, "payee"),
			target:   rapid.IntRange(0, 9).Draw(t, "target"),
			amount:   rapid.SampledFrom(amounts).Draw(t, "amount"),
			currency: currencies[rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "currency")],
			number:   number, repeatOf: -1, keyOf: -1,
		}
		s.executed, s.authorize = rapid.Bool().Draw(t, "executed"), rapid.Bool().Draw(t, "authorize")
		s.limited = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "limited")
		s.stale = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "stale")
		switch again := rapid.IntRange(0, 9).Draw(t, "again"); {
		case number == 0:
		case again >= 8:
			s.repeatOf = rapid.IntRange(0, number-1).Draw(t, "repeat of")
		case again == 7:
			s.keyOf = rapid.IntRange(0, number-1).Draw(t, "key of")
		}
		number++
		return s
	}
	drawPhase := func() phase {
		var p phase
		for range rapid.IntRange(0, 3).Draw(t, "marks") {
			p.marks = append(p.marks, mark{
				rapid.SampledFrom([]markKind{freeze, thaw, thaw, claim, claim, lapse, open, limit, limit, limit, raise}).Draw(t, "mark"),
				rapid.IntRange(0, 9).Draw(t, "of"),
			})
		}
		for range rapid.IntRange(1, 4).Draw(t, "lanes") {
			var lane []step
			for range rapid.IntRange(1, 4).Draw(t, "steps") {
				lane = append(lane, drawStep())
			}
			p.lanes = append(p.lanes, lane)
		}
		return p
	}
	s := make(script, rapid.IntRange(2, 6).Draw(t, "phases"))
	for i := range s {
		s[i] = drawPhase()
	}
	return s
})
