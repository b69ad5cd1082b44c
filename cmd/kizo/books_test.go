package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/money"
)

// history is what the tests of exports read: the wallets of a user with a random history of at
// least historyTransfers() transfers, in currencies with 0, 2, 3 and 4 decimals.
type history struct {
	state  string // XDG_STATE_HOME of the user
	client *client.Client
	times  []time.Time // of all events, in their order
}

// historyTransfers are 10,000 for make test-books. The ordinary tests have a fifth of them, which
// is more than a page of any list.
func historyTransfers() int {
	if os.Getenv("KIZO_TEST_BOOKS") != "" {
		return 10_000
	}
	return 2000
}

var historyCurrencies = []string{"JPY", "USD", "KWD", "CLF"}

// awkwardMemos have characters with a meaning in one of the formats.
var awkwardMemos = []string{
	"lunch", "lunch; event_id: x", "=HYPERLINK(\"http://x\")", "a | b || c", `quote " and \ backslash \n`, "<STMTTRN>&amp;",
	"  two  spaces  ; and a comment", "#tag ^link [2026/99/99=2026/01/01]", "date: 2001-01-01, date2: x", "(code) * ! { } @ 5 USD = 3 USD",
	"naïve 山田 🍕", "'apostrophe", "-1+1", "日本;語", "$VAR `cmd` %s", "]]>", ":tag: key: value", "*", ";", "\"",
}

var makeHistory = sync.OnceValues(func() (*history, error) {
	server, err := startKizod()
	if err != nil {
		return nil, err
	}
	h := &history{state: filepath.Join(server.dir, "history")}
	names := []string{fmt.Sprintf("hist%d", time.Now().UnixNano()), fmt.Sprintf("other%d", time.Now().UnixNano())}
	var both []*client.Client
	for i, name := range names {
		store := newFileStore(filepath.Join(h.state+fmt.Sprint(i), "kizo"), server.URL)
		kizo, err := client.New(client.Config{Server: server.URL, Tokens: store})
		if err != nil {
			return nil, err
		}
		user := client.SignUp{Email: name + "@example.com", Handle: name, Name: name, Password: "correct horse battery"}
		if _, err := kizo.SignUp(context.Background(), user); err != nil {
			return nil, err
		}
		both = append(both, kizo)
	}
	h.state, h.client = h.state+"0", both[0]
	m := &historyMaker{random: rand.New(rand.NewPCG(1, 2)), users: both, names: names}
	if err := m.make(); err != nil {
		return nil, err
	}
	return h, h.readTimes()
})

type historyMaker struct {
	random *rand.Rand
	users  []*client.Client
	names  []string
}

func (m *historyMaker) make() error {
	ctx := context.Background()
	for _, user := range m.users {
		for _, currency := range historyCurrencies {
			if _, err := user.OpenWallet(ctx, currency); err != nil {
				return err
			}
			if err := m.bankTransfer(user, client.NewDeposit, currency, 1_000_000+m.random.Int64N(1_000_000)); err != nil {
				return err
			}
		}
	}
	size := historyTransfers() / 20
	for i := range 20 {
		from := i % 2
		if err := m.batch(from, size); err != nil {
			return err
		}
		if i%4 != 0 {
			continue
		}
		currency := historyCurrencies[m.random.IntN(len(historyCurrencies))]
		if err := m.bankTransfer(m.users[from], client.NewWithdrawal, currency, 1+m.random.Int64N(1000)); err != nil {
			return err
		}
	}
	return nil
}

func (m *historyMaker) bankTransfer(user *client.Client, kind func(string, client.BankTransferCreate) (client.Command, error), currency string, amount int64) error {
	command, err := kind(client.NewKey(), client.BankTransferCreate{Amount: amount, Currency: currency})
	if err != nil {
		return err
	}
	command.Wait = client.MaxWait
	_, err = user.Send(context.Background(), command)
	return err
}

// batch sends transfers, some of which are refused, and then changes some of them.
func (m *historyMaker) batch(from, size int) error {
	ctx, r := context.Background(), m.random
	var batch client.TransferBatch
	for range size {
		memo, authorize := awkwardMemos[r.IntN(len(awkwardMemos))], r.IntN(12) == 0
		t := client.BatchTransfer{
			IdempotencyKey: client.NewKey(), To: "@" + m.names[1-from], Memo: &memo, Authorize: &authorize,
			Currency: historyCurrencies[r.IntN(len(historyCurrencies))], Amount: 1 + r.Int64N(3000),
		}
		if r.IntN(4) == 0 {
			t.Tags = &client.Tags{"project": fmt.Sprintf("p-%d/x", r.IntN(5)), "date": "2001-01-01"}
		}
		if r.IntN(40) == 0 {
			t.Amount = 1_000_000_000 // more than any user has
		}
		batch.Transfers = append(batch.Transfers, t)
	}
	result, err := m.users[from].SendBatch(ctx, batch)
	if err != nil {
		return err
	}
	for _, one := range result.Results {
		if one.Transfer == nil {
			continue
		}
		if err := m.change(m.users[1-from], one.Transfer); err != nil {
			return err
		}
	}
	return nil
}

// change captures, voids or reverses some of the transfers that a user has received.
func (m *historyMaker) change(payee *client.Client, t *client.Transfer) error {
	part := 1 + m.random.Int64N(t.Amount)
	var change func(key string, id uuid.UUID, part *int64) (client.Command, error)
	switch n := m.random.IntN(10); {
	case t.Kind == client.TransferKindAuthorization && n < 4:
		change = client.NewCapture
	case t.Kind == client.TransferKindAuthorization && n < 6:
		part, change = t.Amount, client.NewCapture
	case t.Kind == client.TransferKindAuthorization && n < 8:
		change = func(key string, id uuid.UUID, _ *int64) (client.Command, error) { return client.NewVoid(key, id) }
	case t.Kind == client.TransferKindTransfer && m.random.IntN(40) == 0:
		change = client.NewReverse
	default:
		return nil
	}
	command, err := change(client.NewKey(), t.Id, &part)
	if err != nil {
		return err
	}
	_, err = payee.Send(context.Background(), command)
	return err
}

func (h *history) readTimes() error {
	stream, err := h.client.Events(context.Background(), client.EventOptions{Since: firstEvent, UntilLive: true})
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		e, err := stream.Next()
		if err != nil {
			return err
		}
		if e.Type == client.EventLive {
			return nil
		}
		h.times = append(h.times, e.At)
	}
}

// world runs kizo as the user of the history.
func (h *history) world(t *testing.T) *world {
	w := newWorld(t, nil)
	w.env["KIZO_SERVER"], w.env["XDG_STATE_HOME"], w.real = h.client.Server(), h.state, true
	return w
}

func historyOf(t *testing.T) *history {
	t.Helper()
	h, err := makeHistory()
	testkit.Must(t, err)
	return h
}

// balances are amounts in minor units: by currency, and by currency + " held".
type balances map[string]int64

// balancesAt returns the balances that the API reports before a time.
func (h *history) balancesAt(t *testing.T, until time.Time) balances {
	t.Helper()
	found := balances{}
	for _, currency := range historyCurrencies {
		b, err := h.client.Balance(t.Context(), currency, until.Add(-time.Microsecond))
		testkit.Must(t, err)
		if b.Balance != 0 {
			found[currency] = b.Balance
		}
	}
	return found
}

// balancesNow returns the current balances and held amounts.
func (h *history) balancesNow(t *testing.T) balances {
	t.Helper()
	wallets, err := h.client.Wallets(t.Context())
	testkit.Must(t, err)
	found := balances{}
	for _, w := range wallets {
		found[w.Currency] = w.Balance
		if w.Held != 0 {
			found[w.Currency+" held"] = w.Held
		}
	}
	return found
}

// bookTool is a program that reads exports.
type bookTool struct {
	format, program string
	check           func(file string) []*exec.Cmd
	balances        func(file string) *exec.Cmd // prints lines of account, comma, amount
}

var bookTools = []bookTool{
	{
		"hledger", "hledger",
		func(file string) []*exec.Cmd {
			return []*exec.Cmd{exec.Command("hledger", "-f", file, "check", "--strict", "ordereddates")}
		},
		func(file string) *exec.Cmd {
			return exec.Command("hledger", "-f", file, "balance", "--flat", "-N", "-O", "csv", "^assets:kizo")
		},
	},
	{
		"ledger", "ledger",
		func(file string) []*exec.Cmd {
			return []*exec.Cmd{exec.Command("ledger", "--args-only", "-f", file, "--pedantic", "--strict", "source")}
		},
		func(file string) *exec.Cmd {
			return exec.Command("ledger", "--args-only", "-f", file, "balance", "--flat", "--no-total",
				"--format", "\"%(account)\",\"%(scrub(amount))\"\n", "^assets:kizo")
		},
	},
	{
		"beancount", "bean-check",
		func(file string) []*exec.Cmd {
			return []*exec.Cmd{exec.Command("bean-check", "--no-cache", file)}
		},
		func(file string) *exec.Cmd {
			return exec.Command("bean-query", "--no-errors", "-f", "csv", file,
				"SELECT account, sum(position) WHERE account ~ '^Assets:Kizo' GROUP BY account")
		},
	},
}

// needProgram skips a test on a computer without a program. make test-books installs all of them
// and sets the variable, so that none is skipped there.
func needProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("KIZO_TEST_BOOKS") != "" {
			t.Fatal(err)
		}
		t.Skipf("%s is not installed: make test-books installs it", name)
	}
}

// run runs a program without the user's configuration of it.
func (tool bookTool) run(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	command.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+t.TempDir())
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%.2000s%.2000s", command, err, stderr.String(), out)
	}
	return string(out)
}

// read checks a file, and returns the balances in it.
func (tool bookTool) read(t *testing.T, file string) balances {
	t.Helper()
	for _, check := range tool.check(file) {
		if out := tool.run(t, check); out != "" {
			t.Fatalf("%s: %.2000s", check, out)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(tool.run(t, tool.balances(file)))).ReadAll()
	testkit.Must(t, err)
	found := balances{}
	for _, row := range rows {
		if !strings.HasPrefix(strings.ToLower(row[0]), "assets:kizo:") {
			continue // a header
		}
		parts := strings.Fields(row[1])
		if len(parts) != 2 { // 0, which has no currency
			continue
		}
		currency := parts[1]
		amount, err := money.Parse(parts[0], money.Currency(currency))
		if err != nil {
			t.Fatalf("%s: %v: %v", tool.program, row, err)
		}
		found[currency] += amount.Minor
		if strings.HasSuffix(strings.ToLower(row[0]), ":held") {
			found[currency+" held"] += amount.Minor
		}
	}
	return found
}

func (b balances) withoutHeld() balances {
	rest := maps.Clone(b)
	maps.DeleteFunc(rest, func(name string, _ int64) bool { return strings.HasSuffix(name, " held") })
	return rest
}

func TestBookProgramsAcceptExports(t *testing.T) {
	h := historyOf(t)
	for _, tool := range bookTools {
		t.Run(tool.program, func(t *testing.T) {
			needProgram(t, tool.program)
			w := h.world(t)
			export := func(args ...string) balances {
				w.expect(exitDone, append([]string{"export", "--format", tool.format}, args...)...)
				return tool.read(t, w.write("books."+tool.format, w.out.String()))
			}
			if got, want := export(), h.balancesNow(t); !maps.Equal(got, want) {
				t.Errorf("the books have %v, the API %v", got, want)
			}
			points := 2
			if os.Getenv("KIZO_TEST_BOOKS") != "" {
				points = 10
			}
			for i := range points {
				// Every second one without what was before half of that time.
				at := (2*i + 1) * len(h.times) / (2 * points)
				args := []string{"--until", utcText(h.times[at])}
				if i%2 == 1 {
					args = append(args, "--since", utcText(h.times[at/2]))
				}
				got := export(args...).withoutHeld()
				if want := h.balancesAt(t, h.times[at]); !maps.Equal(got, want) {
					t.Errorf("with %q: the books have %v, the API %v", args, got, want)
				}
			}
		})
	}
}

func utcText(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// bankStatements are the parts of OFX that have amounts.
type bankStatements struct {
	Statements []struct {
		Currency     string `xml:"STMTRS>CURDEF"`
		Account      string `xml:"STMTRS>BANKACCTFROM>ACCTID"`
		Transactions []struct {
			Amount string `xml:"TRNAMT"`
			ID     string `xml:"FITID"`
			Memo   string `xml:"MEMO"`
		} `xml:"STMTRS>BANKTRANLIST>STMTTRN"`
		Balance   string `xml:"STMTRS>LEDGERBAL>BALAMT"`
		Available string `xml:"STMTRS>AVAILBAL>BALAMT"`
	} `xml:"BANKMSGSRSV1>STMTTRNRS"`
}

func minor(t *testing.T, number, currency string) int64 {
	t.Helper()
	if strings.Trim(number, "0.") == "" {
		return 0
	}
	unsigned, negative := strings.CutPrefix(number, "-")
	amount, err := money.Parse(unsigned, money.Currency(currency))
	testkit.Must(t, err)
	if negative {
		return -amount.Minor
	}
	return amount.Minor
}

func TestBookStatementsHaveTheBalances(t *testing.T) {
	h := historyOf(t)
	w := h.world(t)
	for i := range 10 {
		until := h.times[(2*i+1)*len(h.times)/20]
		w.expect(exitDone, "export", "--format", "ofx", "--until", utcText(until))
		var statements bankStatements
		testkit.Must(t, xml.Unmarshal(w.out.Bytes(), &statements))
		got, sums := balances{}, balances{}
		for _, s := range statements.Statements {
			ids := map[string]bool{}
			got[s.Currency] = minor(t, s.Balance, s.Currency)
			for _, one := range s.Transactions {
				sums[s.Currency] += minor(t, one.Amount, s.Currency)
				ids[one.ID] = true
			}
			if len(ids) != len(s.Transactions) || len(s.Account) > 22 {
				t.Errorf("%s: %d ids of %d transactions, account %s", s.Currency, len(ids), len(s.Transactions), s.Account)
			}
		}
		want := h.balancesAt(t, until)
		if !maps.Equal(got, want) || !maps.Equal(sums, want) {
			t.Errorf("until %s: balances %v, sums %v, the API has %v", until, got, sums, want)
		}
	}
}

func TestBookProgramsAcceptOFX(t *testing.T) {
	needProgram(t, "ofxdump")
	h := historyOf(t)
	w := h.world(t)
	w.expect(exitDone, "export", "--format", "ofx", "--wallet", "USD")
	transactions := strings.Count(w.out.String(), "<STMTTRN>")
	file := w.write("books.ofx", w.out.String())
	command := exec.Command("ofxdump", "--msg_info", "--msg_status", "--msg_warning", file)
	command.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil || strings.Contains(stderr.String(), "ERROR") {
		t.Fatalf("ofxdump: %v\n%.2000s", err, &stderr)
	}
	var sum, read int64
	for line := range strings.Lines(string(out)) {
		if number, found := strings.CutPrefix(strings.TrimSpace(line), "Total money amount: "); found {
			sum += minor(t, number, "USD")
			read++
		}
	}
	want := h.balancesNow(t)["USD"]
	if int(read) != transactions || transactions == 0 || sum != want {
		t.Errorf("ofxdump reads %d of %d transactions, with the sum %d, want %d", read, transactions, sum, want)
	}
	testkit.Contains(t, string(out), "Ledger balance: "+money.Amount{Minor: want, Currency: "USD"}.Decimal()+"\n")
}

// Rows of spreadsheets have the balances, no formula, and one line each.
func TestBookRows(t *testing.T) {
	h := historyOf(t)
	w := h.world(t)
	w.expect(exitDone, "export", "--format", "csv")
	rows, err := csv.NewReader(bytes.NewReader(w.out.Bytes())).ReadAll()
	testkit.Must(t, err)
	if lines := strings.Count(w.out.String(), "\n"); lines != len(rows) {
		t.Errorf("%d lines for %d rows", lines, len(rows))
	}
	got := balances{}
	for _, row := range rows[1:] {
		got[row[9]], got[row[9]+" held"] = minor(t, row[10], row[9]), minor(t, row[11], row[9])
		if got[row[9]+" held"] == 0 {
			delete(got, row[9]+" held")
		}
		for _, cell := range []string{row[1], row[5], row[6]} {
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@|%") {
				t.Fatalf("%q begins like a formula", cell)
			}
		}
	}
	if want := h.balancesNow(t); !maps.Equal(got, want) {
		t.Errorf("the rows end with %v, the API has %v", got, want)
	}
}
