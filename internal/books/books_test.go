package books

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
)

var update = flag.Bool("update", false, "write the golden files again")

// story makes events, one per minute.
type story struct {
	at     time.Time
	events []client.Event
}

func newStory() *story { return &story{at: time.Date(2026, 11, 28, 23, 50, 0, 0, time.UTC)} }

func (s *story) add(t client.Transfer) {
	n := len(s.events) + 1
	if t.Id == (uuid.UUID{}) {
		t.Id = uuid.UUID{15: byte(n)}
	}
	bob, other, yes := "bob", client.Party{}, true
	other.Handle = &bob
	if t.Kind == client.TransferKindDeposit || t.Kind == client.TransferKindWithdrawal {
		other = client.Party{Bank: &yes}
	}
	ada := "ada"
	t.From, t.To = client.Party{Handle: &ada}, other
	if t.Direction == client.In {
		t.From, t.To = t.To, t.From
	}
	s.events = append(s.events, client.Event{ID: fmt.Sprintf("AAAAAAAAAAAAAAAAAAAA%02d", n), Type: client.EventTransfer, At: s.at, Transfer: &t})
	s.at = s.at.Add(time.Minute + time.Microsecond)
}

// everyCase has each kind of transfer in each state, awkward memos, and a midnight after the tenth
// event.
func everyCase() []client.Event {
	s := newStory()
	type transfer = client.Transfer
	memo := func(text string) *string { return &text }
	minor := func(n int64) *int64 { return &n }
	authorization, withdrawal := uuid.UUID{1}, uuid.UUID{2}

	s.add(transfer{Kind: client.TransferKindDeposit, State: client.Pending, Direction: client.In, Amount: 10000, Currency: "USD"})
	s.add(transfer{Kind: client.TransferKindDeposit, State: client.Posted, Direction: client.In, Amount: 10000, Currency: "USD"})
	s.add(transfer{Kind: client.TransferKindTransfer, State: client.Posted, Direction: client.Out, Amount: 1250, Currency: "USD", Memo: memo("lunch; event_id: x | \"quote\" \\ \n\x1b[2J")})
	s.add(transfer{Kind: client.TransferKindTransfer, State: client.Refused, Direction: client.Out, Amount: 999999, Currency: "USD"})
	s.add(transfer{Id: authorization, Kind: client.TransferKindAuthorization, State: client.Pending, Direction: client.Out, Amount: 3000, AuthorizedAmount: minor(3000), Currency: "USD"})
	s.add(transfer{Kind: client.TransferKindAuthorization, State: client.Pending, Direction: client.In, Amount: 500, AuthorizedAmount: minor(500), Currency: "JPY"})
	s.add(transfer{Kind: client.TransferKindAuthorization, State: client.Posted, Direction: client.In, Amount: 500, AuthorizedAmount: minor(500), Currency: "JPY", Memo: memo("=1+1")})
	s.add(transfer{Id: authorization, Kind: client.TransferKindAuthorization, State: client.Posted, Direction: client.Out, Amount: 1000, AuthorizedAmount: minor(3000), Currency: "USD"})
	s.add(transfer{Id: withdrawal, Kind: client.TransferKindWithdrawal, State: client.Pending, Direction: client.Out, Amount: 2000, Currency: "USD"})
	s.add(transfer{Kind: client.TransferKindWithdrawal, State: client.Pending, Direction: client.Out, Amount: 1, Currency: "USD"})
	s.add(transfer{Id: withdrawal, Kind: client.TransferKindWithdrawal, State: client.Posted, Direction: client.Out, Amount: 2000, Currency: "USD"})
	s.add(transfer{Kind: client.TransferKindWithdrawal, State: client.Voided, Direction: client.Out, Amount: 1, Currency: "USD"})
	s.add(transfer{Kind: client.TransferKindReversal, State: client.Posted, Direction: client.In, Amount: 250, Currency: "USD"})
	s.add(transfer{Kind: client.TransferKindReversal, State: client.Posted, Direction: client.Out, Amount: 100, Currency: "JPY"})
	s.add(transfer{Kind: client.TransferKindTransfer, State: client.Posted, Direction: client.In, Amount: 12345, Currency: "KWD", Tags: &client.Tags{"team": "moon", "project": "apollo, date: [2001/01/01]; \n"}})
	s.add(transfer{Kind: client.TransferKindTransfer, State: client.Posted, Direction: client.In, Amount: 12345, Currency: "CLF"})
	return s.events
}

func export(t *testing.T, format string, p Period, events []client.Event) (string, []Wallet) {
	t.Helper()
	var out bytes.Buffer
	f, known := FormatNamed(format)
	if !known {
		t.Fatalf("no format %s", format)
	}
	x, err := NewExport(&out, f, p)
	testkit.Must(t, err)
	for _, e := range events {
		testkit.Must(t, x.Add(e))
	}
	wallets, err := x.Close()
	testkit.Must(t, err)
	return out.String(), wallets
}

func TestOFX(t *testing.T) {
	events := everyCase()
	var out bytes.Buffer
	x := NewOFX(&out, Period{}, map[money.Currency]uuid.UUID{"USD": {7}}, events[len(events)-1].At)
	defer x.Discard()
	for _, e := range events {
		testkit.Must(t, x.Add(e))
	}
	_, err := x.Close()
	testkit.Must(t, err)
	compare(t, "ofx.golden", out.String())
	testkit.Must(t, xml.Unmarshal(out.Bytes(), new(struct{})))
}

func TestFormats(t *testing.T) {
	events := everyCase()
	for _, format := range Formats() {
		for name, p := range map[string]Period{
			"all": {}, "period": {Since: events[6].At, Until: events[12].At}, "wallet": {Currency: "JPY", Since: events[8].At},
		} {
			t.Run(format.Name+" "+name, func(t *testing.T) {
				got, _ := export(t, format.Name, p, events)
				compare(t, format.Name+"-"+name+".golden", got)
			})
		}
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		testkit.Must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	testkit.Must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; go test ./internal/books -update writes it again. Got:\n%s", path, got)
	}
}

// A memo stays inside its line and its field, whatever it contains.
func TestMemosStayInsideTheirPlace(t *testing.T) {
	plain, awkward := everyCase(), everyCase()
	for i := range awkward {
		memo := strings.Repeat("\r\n\u2028;|\"\\,\t\x00\x1b\u202e'=@[2026/01/01]", 2)
		awkward[i].Transfer.Memo = &memo
		simple := "lunch"
		plain[i].Transfer.Memo = &simple
	}
	for _, format := range Formats() {
		want, _ := export(t, format.Name, Period{}, plain)
		got, _ := export(t, format.Name, Period{}, awkward)
		if strings.Count(got, "\n") != strings.Count(want, "\n") {
			t.Errorf("%s: %d lines, want %d", format.Name, strings.Count(got, "\n"), strings.Count(want, "\n"))
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0x2028 || r == 0x202e }); i >= 0 {
			t.Errorf("%s: a control character in %q", format.Name, got[max(i-20, 0):i+1])
		}
	}
}

func TestBookRefusesEventsThatDoNotContinue(t *testing.T) {
	events := everyCase()
	for i, want := range map[int]string{2: "does not continue", 10: "does not continue"} {
		var b Book
		if _, _, err := b.Add(events[i]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("event %d without those before it: %v", i, err)
		}
	}
	var b Book
	events[1].Transfer.Currency = "QQQ"
	if _, _, err := b.Add(events[1]); err == nil || !strings.Contains(err.Error(), "QQQ") {
		t.Errorf("an unknown currency: %v", err)
	}
}

// A book that continues from stored wallets writes the same as one that read everything.
func TestBookContinues(t *testing.T) {
	events := everyCase()
	var whole Book
	for i, e := range events {
		part := NewBook(whole.Wallets())
		got, _, err := part.Add(e)
		testkit.Must(t, err)
		want, _, err := whole.Add(e)
		testkit.Must(t, err)
		if beancount.Entry(&got) != beancount.Entry(&want) {
			t.Errorf("event %d: %+v, want %+v", i, got, want)
		}
	}
}
