package main

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/server/bank"
	"github.com/JDevAman/kizo/server/bank/sim"
	"github.com/JDevAman/kizo/server/settle"
)

// sound is the evidence of a small run without a defect: a deposit of 100,
// a transfer of 30, a refused transfer, and a withdrawal that the bank rejected.
type sound struct {
	evidence
	ada, bob                          *user
	fund, pay, poor, cashOut          *operation
	fundRow, payRow, poorRow, cashRow *transferRow
}

const (
	clearingAccount = 1
	adasAccount     = 2
	bobsAccount     = 3
)

func newSound() *sound {
	s := &sound{ada: &user{handle: "ada", id: id(1)}, bob: &user{handle: "bob", id: id(2)}}
	b := &books{
		accounts: map[int64]accountRow{
			clearingAccount: {ID: clearingAccount, Kind: "clearing", Balance: -100, Seq: 1},
			adasAccount:     {ID: adasAccount, Owner: &s.ada.id, Kind: "wallet", Balance: 70, Seq: 2},
			bobsAccount:     {ID: bobsAccount, Owner: &s.bob.id, Kind: "wallet", Balance: 30, Seq: 1},
		},
		transfers: make(map[uuid.UUID]*transferRow), byKey: make(map[ownerKey]*transferRow),
	}
	s.evidence = evidence{books: b, users: []*user{s.ada, s.bob}, deaths: map[string]time.Time{}, found: newFindings()}
	s.fund, s.fundRow = s.add(id(11), &operation{kind: deposit, user: s.ada, amount: 100}, "posted", clearingAccount, adasAccount)
	s.pay, s.payRow = s.add(id(12), &operation{kind: transfer, user: s.ada, payee: s.bob, amount: 30}, "posted", adasAccount, bobsAccount)
	s.poor, s.poorRow = s.add(id(13), &operation{kind: transfer, user: s.bob, payee: s.ada, amount: 500}, "refused", bobsAccount, adasAccount)
	s.cashOut, s.cashRow = s.add(id(14), &operation{kind: withdrawal, user: s.ada, amount: 20}, "voided", adasAccount, clearingAccount)
	s.poorRow.Reason = "insufficient_funds"
	s.poor.attempts[0].Outcome, s.poor.attempts[0].Code, s.poor.attempts[0].State = refused, "insufficient_funds", ""
	b.postings = []postingRow{
		{clearingAccount, 1, id(11), -100, -100}, {adasAccount, 1, id(11), 100, 100},
		{adasAccount, 2, id(12), -30, 70}, {bobsAccount, 1, id(12), 30, 30},
	}
	for i, e := range []struct {
		n     int
		state string
	}{{11, "pending"}, {11, "posted"}, {12, "posted"}, {13, "refused"}, {14, "pending"}, {14, "voided"}} {
		b.events = append(b.events, eventRow{int64(i), id(e.n), e.state})
	}
	s.settle(id(11), "executed", bank.Deposit, 100)
	s.settle(id(14), "rejected", bank.Withdrawal, 20)
	s.reads = []reading{{user: s.ada, began: 13 * time.Second, ended: 14 * time.Second, balance: 70, available: 70}}
	return s
}

// add adds an operation that began in the second of its number and was answered one second
// later, and its row.
func (s *sound) add(transferID uuid.UUID, o *operation, state string, debit, credit int64) (*operation, *transferRow) {
	began := time.Duration(len(s.operations)+10) * time.Second
	o.key = transferID.String()
	o.attempts = []attempt{{
		Began: began, Ended: began + time.Second/2, Outcome: accepted, Status: 201, Transfer: transferID,
		Kind: string(o.kind), State: "pending", Amount: o.amount,
	}}
	row := &transferRow{
		Created: time.Unix(int64(len(s.operations)), 0),
		ID:      transferID, Kind: string(o.kind), State: state, Debit: debit, Credit: credit, Amount: o.amount, Owner: o.user.id, Key: o.key,
		debitor: s.books.owner(debit), creditor: s.books.owner(credit),
	}
	if state == "posted" {
		row.Posted = o.amount
	}
	s.operations = append(s.operations, o)
	s.books.transfers[transferID], s.books.byKey[ownerKey{o.user.id, o.key}] = row, row
	return o, row
}

func (s *sound) settle(transferID uuid.UUID, state string, direction bank.Direction, amount int64) {
	s.books.payments = append(s.books.payments, paymentRow{
		Transfer: transferID, Direction: string(direction), Ref: transferID.String(), Amount: amount, Currency: currency, State: state,
	})
	s.journal = append(s.journal, sim.Entry{
		Seq: int64(len(s.journal) + 1), Status: sim.Status(state),
		Instruction: bank.Instruction{Ref: transferID.String(), Direction: direction, Amount: amount, Currency: currency},
	})
	pending, asked, zero, one := "pending", "unknown", int64(0), int64(1)
	at := time.Unix(1000, 0)
	for _, l := range []logRow{
		{Who: "api-0.1", State: pending, At: at},
		{Who: "worker-0.1", State: asked, Fence: 1, OldState: &pending, OldFence: &zero, At: at.Add(time.Second)},
		{Who: "worker-0.1", State: state, Fence: 1, OldState: &asked, OldFence: &one, At: at.Add(2 * time.Second)},
	} {
		l.Transfer = transferID
		s.books.log = append(s.books.log, l)
	}
}

// lie adds a wrong answer of the bank to the deposit.
func (s *sound) lie(kind string) {
	s.lies = append(s.lies, sim.Lie{Ref: id(11).String(), Kind: kind, At: time.Unix(2000, 0)})
}

// Each kind of defect is found by its rule, and sound evidence breaks no rule.
func TestRules(t *testing.T) {
	later := time.Unix(2000, 0)
	for _, c := range []struct {
		name  string
		spoil func(*sound)
		want  string
	}{
		{"all is well", func(*sound) {}, ""},
		{"lost", func(s *sound) { delete(s.books.byKey, ownerKey{s.ada.id, s.pay.key}) }, "history: lost"},
		{"ghost", func(s *sound) { s.pay.attempts[0] = attempt{Outcome: failed, Status: 503} }, "history: ghost"},
		{"unresolved", func(s *sound) { s.pay.attempts[0] = attempt{Outcome: unknown} }, "history: unresolved"},
		{"unrequested", func(s *sound) { s.operations = s.operations[:3] }, "history: unrequested"},
		{"another amount", func(s *sound) { s.payRow.Amount = 31 }, "history: differs"},
		{"another payee", func(s *sound) { s.payRow.creditor = id(9) }, "history: differs"},
		{"refusal not stored", func(s *sound) { s.poorRow.State = "posted" }, "history: refused"},
		{"answers differ", func(s *sound) {
			s.pay.attempts = append(s.pay.attempts, attempt{Began: time.Hour, Outcome: refused, Transfer: id(12), Replayed: true})
		}, "replay"},
		{"no replay", func(s *sound) {
			a := s.pay.attempts[0]
			a.Began = time.Hour
			s.pay.attempts = append(s.pay.attempts, a)
		}, "replay"},
		{"half an atomic batch", func(s *sound) {
			for _, o := range s.operations[:3] {
				o.atomic = s.operations[:3]
			}
		}, "atomic"},
		{"balance", func(s *sound) {
			s.books.accounts[bobsAccount] = accountRow{ID: bobsAccount, Owner: &s.bob.id, Kind: "wallet", Balance: 31}
		}, "balances"},
		{"refused without cause", func(s *sound) { s.poorRow.Amount = 5 }, "model"},
		{"overdrawn on the way", func(s *sound) {
			s.books.events[1], s.books.events[2] = s.books.events[2], s.books.events[1]
		}, "model"},
		{"order", func(s *sound) {
			s.books.postings[1].Transfer, s.books.postings[2].Transfer = id(12), id(13)
			s.poor.attempts[0].Outcome = accepted
			s.poor.attempts[0].Began, s.poor.attempts[0].Ended = 1, 2
		}, "order"},
		{"stale read", func(s *sound) { s.reads[0].balance, s.reads[0].available = 100, 100 }, "reads"},
		{"overdrawn read", func(s *sound) { s.reads[0].held, s.reads[0].available = 80, -10 }, "reads"},
		{"posted, not executed", func(s *sound) { s.journal[0].Status = sim.StatusRejected }, "bank: not executed"},
		{"another amount at the bank", func(s *sound) { s.journal[0].Amount = 99 }, "bank: not executed"},
		{"voided, executed", func(s *sound) { s.journal[1].Status = sim.StatusExecuted }, "bank: executed and voided"},
		{"voided without a no", func(s *sound) { s.journal = s.journal[:1] }, "bank: no rejection"},
		{"executed without a payment", func(s *sound) {
			s.journal = append(s.journal, sim.Entry{Status: sim.StatusExecuted, Instruction: bank.Instruction{Ref: "x", Direction: bank.Deposit}})
		}, "bank: unrequested"},
		{"clearing", func(s *sound) { s.books.accounts[clearingAccount] = accountRow{ID: 1, Kind: "clearing", Balance: -99} }, "clearing"},
		{"a lie noticed and not recorded", func(s *sound) {
			s.lie(sim.LieStatus)
			s.books.attempts = []attemptRow{{id(11), "contradiction", later.Add(time.Second)}}
		}, "lie"},
		{"a lie on record", func(s *sound) {
			s.lie(sim.LieStatus)
			s.books.attempts = []attemptRow{{id(11), "contradiction", later.Add(time.Second)}}
			s.books.differ = map[discrepancyRow]bool{{id(11), settle.AnswersDiffer}: true}
		}, ""},
		{"a lie that no attempt received", func(s *sound) {
			s.lie(sim.LieAmount)
			s.books.attempts = []attemptRow{{id(11), "contradiction", later.Add(-time.Second)}, {id(11), "unknown", later.Add(time.Second)}}
		}, ""},
		{"settled otherwise than first answered", func(s *sound) { s.books.payments[0].Unconfirmed = "rejected" }, "lie"},
		{"overtaken", func(s *sound) { s.books.log[2].Who = "worker-1.1" }, "fence"},
		{"claimed from a holder", func(s *sound) { s.books.log[1].OldLease = &later }, "lease"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSound()
			c.spoil(s)
			for _, rule := range rules {
				rule(&s.evidence)
			}
			violations, counts := s.found.all()
			if (c.want == "") != (len(violations) == 0) || (c.want != "" && counts[c.want] == 0) {
				t.Errorf("found %v, want %q", violations, c.want)
			}
		})
	}
}

// An orphan waits from the death of its worker to the next claim. A payment that was settled
// or released before the death is no orphan.
func TestOrphans(t *testing.T) {
	s := newSound()
	died := s.books.log[1].At.Add(time.Second / 2)
	if got := orphans(s.books.log, map[string]time.Time{"worker-0.1": died.Add(time.Hour)}); len(got) != 0 {
		t.Errorf("settled before the death, and an orphan: %v", got)
	}
	one, two := int64(1), "unknown"
	s.books.log[2] = logRow{
		Transfer: id(11), Who: "janitor-0.1", State: "unknown", Fence: 2, OldState: &two, OldFence: &one, OldLease: &died, Lease: &died, At: died.Add(3 * time.Second),
	}
	s.books.log[1].Lease = &died
	got := orphans(s.books.log, map[string]time.Time{"worker-0.1": died})
	if len(got) != 1 || got[0].waited != 3*time.Second {
		t.Errorf("orphans %v, want one of 3 s", got)
	}
}
