package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

const payHeader = "to,amount,currency,memo,id\n"

func TestPayoutFilesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, want string }{
		"plain":       {payHeader + "@bob,12.50,USD,lunch,1\n", "2 @bob 12.50 USD lunch 1"},
		"BOM, CRLF":   {"\xEF\xBB\xBF" + strings.ReplaceAll(payHeader+"@bob,1,USD,,1\n", "\n", "\r\n"), "2 @bob 1.00 USD  1"},
		"quoted":      {payHeader + `"@bob","1","USD","a ""b"", c","x y"`, `2 @bob 1.00 USD a "b", c x y`},
		"other order": {" ID ,Currency,AMOUNT,To\n7,jpy, 5 , @bob \n\n8,KWD,0.001,@bob\n", "2 @bob 5 JPY  7; 4 @bob 0.001 KWD  8"},
		"JSON":        {`{"to":"@bob","amount":"1","currency":"USD","memo":"ü","id":"1"}` + "\n\n" + `{"id":"2","to":"@bob","amount":"1","currency":"USD"}`, "1 @bob 1.00 USD ü 1; 3 @bob 1.00 USD  2"},

		"empty":             {"", "row 1: the file is empty"},
		"missing column":    {"to,amount,currency\n@bob,1,USD\n", "row 1: the column id is missing"},
		"unknown column":    {"to,amount,currency,id,name\n", `row 1: there is no column "name"`},
		"column twice":      {"to,amount,currency,id,To\n", "row 1: the column to is there twice"},
		"semicolons":        {"to;amount;currency;id\n@bob;1;USD;1\n", "row 1: the columns must be separated by commas"},
		"CR alone":          {"to,amount,currency,id\r@bob,1,USD,1\r", "row 1: the lines must end with LF or CRLF"},
		"UTF-16":            {"\xFF\xFEt\x00o\x00", "row 1: the file is UTF-16"},
		"spreadsheet":       {"PK\x03\x04rest", "row 1: the file is a spreadsheet or an archive"},
		"10^7 columns":      {strings.Repeat("to,", 10_000_000) + "\n", "row 1: a row has at most 65536 bytes"},
		"long row":          {payHeader + "@bob,1,USD,\"" + strings.Repeat("x\n", 40_000), "row 2: a row has at most 65536 bytes"},
		"fields":            {payHeader + "@bob,1,USD\n@bob,1,USD,,2\n", "row 2: 3 columns, and the header has 5; 3 @bob 1.00 USD  2"},
		"NUL":               {payHeader + "@bob,1,USD,a\x00b,1\n", "row 2: the row contains a NUL byte"},
		"Latin-1":           {payHeader + "@bob,1,USD,caf\xe9,1\n", "row 2: the row is not UTF-8"},
		"quote":             {payHeader + "@bob,1,USD,a\"b,1\n", "row 2: the quotes are not CSV"},
		"open quote":        {payHeader + "@bob,1,USD,\"ab,1\n", "row 2: the quotes are not CSV"},
		"exponent":          {payHeader + "@bob,1e3,USD,,1\n", `row 2: "1e3" is not an amount`},
		"comma":             {payHeader + "@bob,\"12,50\",USD,,1\n", `row 2: "12,50" has a comma`},
		"decimals":          {payHeader + "@bob,1.5,JPY,,1\n", "row 2: 1.5 has 1 decimal, JPY takes none"},
		"currency":          {payHeader + "@bob,1,XYZ,,1\n", `row 2: "XYZ" is not an active ISO 4217 currency`},
		"formula":           {payHeader + "@bob,=A1,USD,,1\n", "row 2: the amount begins like a formula"},
		"formula in a memo": {payHeader + "@bob,1,USD, =1+1,1\n", "row 2: the memo begins like a formula"},
		"no payee":          {payHeader + ",1,USD,,1\n", "row 2: the payee is missing"},
		"spaces in a payee": {payHeader + "bob b,1,USD,,1\n", `row 2: "bob b" is not a payee`},
		"no id":             {payHeader + "@bob,1,USD,, \n", "row 2: the id is missing"},
		"long id":           {payHeader + "@bob,1,USD,," + strings.Repeat("ü", 31) + "\n", "row 2: the id is too long"},
		"long memo":         {payHeader + "@bob,1,USD," + strings.Repeat("ü", 141) + ",1\n", "row 2: a memo is at most 140 characters"},
		"line in a memo":    {payHeader + "@bob,1,USD,\"a\nb\",1\n", "row 2: the memo has a character that cannot be printed (U+000A)"},
		"JSON number":       {`{"to":"@bob","amount":5,"currency":"USD","id":"1"}`, "row 1: the amount must be a string"},
		"JSON twice":        {`{"to":"@bob","to":"@eve","amount":"5","currency":"USD","id":"1"}`, "row 1: the member to is there twice"},
		"JSON unknown":      {`{"to":"@bob","amount":"5","currency":"USD","id":"1","x":"y"}`, `row 1: there is no member "x"`},
		"JSON missing":      {`{"to":"@bob","amount":"5","currency":"USD"}`, "row 1: the member id is missing"},
		"JSON two":          {`{"to":"@bob","amount":"5","currency":"USD","id":"1"}{}`, "row 1: a row is one JSON object"},
		"JSON cut":          {`{"to":"@bob","amount":"5"`, "row 1: the row is not valid JSON"},
		"JSON NUL":          {`{"to":"@bob","amount":"5","currency":"USD","id":"1\u0000"}`, "row 1: the row contains a NUL byte"},
		"JSON object":       {`{"to":{},"amount":"5","currency":"USD","id":"1"}`, "row 1: the member to must be a string"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := readPayout(c.file); !strings.HasPrefix(got, c.want) {
				t.Errorf("got  %.300s\nwant %s", got, c.want)
			}
		})
	}
}

// readPayout writes what the reader returns for a file.
func readPayout(file string) string {
	var out []string
	reader, err := newPayReader(strings.NewReader(file))
	for {
		var row payRow
		if err == nil {
			row, err = reader.next()
		}
		if errors.Is(err, io.EOF) {
			return strings.Join(out, "; ")
		}
		if err != nil {
			out = append(out, err.Error())
			if wrong, ok := errors.AsType[*rowError](err); !ok || wrong.fatal {
				return strings.Join(out, "; ")
			}
			err = nil
			continue
		}
		out = append(out, fmt.Sprintf("%d %s %s %s %s", row.line, row.to, row.amount, row.memo, row.id))
	}
}

// FuzzPayoutFile checks that a reader ends, and that what it returns can be sent.
func FuzzPayoutFile(f *testing.F) {
	f.Add(payHeader + "@bob,12.50,USD,\"a \"\"b\"\"\",1\n")
	f.Add(`{"to":"@bob","amount":"1","currency":"USD","memo":"","id":"1"}` + "\n")
	f.Fuzz(func(t *testing.T, file string) {
		reader, err := newPayReader(strings.NewReader(file))
		for rows := 0; ; rows++ {
			var row payRow
			if err == nil {
				row, err = reader.next()
			}
			wrong, isWrong := errors.AsType[*rowError](err)
			if errors.Is(err, io.EOF) || isWrong && wrong.fatal {
				return
			}
			if rows > len(file) {
				t.Fatal("the reader does not end")
			}
			if err == nil && client.CheckKey(row.key(strings.Repeat("r", 40))) != nil {
				t.Errorf("the id %q has no key", row.id)
			}
			err = nil
		}
	})
}

// Different ids have different keys, and a key is what a server accepts.
func TestKeysOfRowsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, id := range []string{"1", "01", "a b", "a%20b", "%", "%25", "ä", "a:b", "a", "%C3%A4"} {
		key := (&payRow{id: id}).key("run")
		testkit.Must(t, client.CheckKey(key))
		if before, twice := seen[key]; twice {
			t.Errorf("%q and %q have the key %s", before, id, key)
		}
		seen[key] = id
	}
	for _, path := range []string{"/a/payouts.csv", "/b/payouts.csv", "/a/" + strings.Repeat("ü ", 90), "/a/.csv"} {
		testkit.Must(t, checkPayRun(defaultPayRun(path)))
	}
	if defaultPayRun("/a/p.csv") == defaultPayRun("/b/p.csv") {
		t.Error("two files have one run")
	}
}

// payoutServer answers look-ups and batches. It fails as the test says.
type payoutServer struct {
	*httptest.Server
	mu      sync.Mutex
	lookUps int
	batches int
	paid    map[string]int // by key: how often
	unknown string         // this payee does not exist
	limits  string         // the answer to GET /v1/limits
	batch   func(n int, w http.ResponseWriter) (handled bool)
	refuse  func(to string) client.ProblemCode
}

func newPayoutServer(t *testing.T) *payoutServer {
	t.Helper()
	s := &payoutServer{paid: make(map[string]int)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(client.User{Id: uuid.Max, Handle: "ada"})
	})
	mux.HandleFunc("GET /v1/wallets", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"id":"0197a7c2-5f0e-7c3b-9d53-0b6f7f1a2c4e","currency":"USD","balance":100000000,"held":0,"available":100000000,"status":"active"}]}`)
	})
	mux.HandleFunc("GET /v1/limits", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, cmp.Or(s.limits, `{"items":[],"renews_at":"2026-11-29T00:00:00Z"}`))
	})
	mux.HandleFunc("POST /v1/payees/lookup", s.lookUp)
	mux.HandleFunc("POST /v1/transfers/batch", s.transfer)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *payoutServer) lookUp(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookUps++
	var asked client.PayeeLookup
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &asked)
	if len(asked.Payees) > 500 || len(body) > 16<<10 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer := client.PayeeLookupResult{Results: make([]client.PayeeResult, len(asked.Payees))}
	for i, to := range asked.Payees {
		answer.Results[i].Handle = &asked.Payees[i]
		if to == s.unknown {
			answer.Results[i] = client.PayeeResult{Problem: &client.Problem{Code: client.PayeeNotFound, Status: 404, Detail: "no user has this handle"}}
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *payoutServer) transfer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches++
	var batch client.TransferBatch
	_ = json.NewDecoder(r.Body).Decode(&batch)
	if s.batch != nil && s.batch(s.batches, w) {
		return
	}
	var answer client.TransferBatchResult
	for _, t := range batch.Transfers {
		if s.refuse != nil {
			if code := s.refuse(t.To); code != "" {
				p := client.Problem{Code: code, Status: 422, Detail: "refused", TransferId: &uuid.Max}
				answer.Results = append(answer.Results, client.BatchResult{Status: 422, Problem: &p})
				continue
			}
		}
		s.paid[t.IdempotencyKey]++
		transfer := client.Transfer{Id: uuid.New(), Kind: "transfer", State: client.Posted, Amount: t.Amount, Currency: t.Currency, Direction: "out", CreatedAt: time.Now()}
		answer.Results = append(answer.Results, client.BatchResult{Status: 201, Transfer: &transfer})
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// payout writes a file of rows that each pay another user.
func payout(w *world, rows int) string {
	var file strings.Builder
	file.WriteString(payHeader)
	for i := range rows {
		fmt.Fprintf(&file, "@p%d,0.01,USD,,%d\n", i+2, i) // the number is that of the row
	}
	return w.write("payouts.csv", file.String())
}

// TestUnknownPayeeInALongFile: nothing is paid, and the payees cost few requests.
func TestUnknownPayeeInALongFile(t *testing.T) {
	s := newPayoutServer(t)
	s.unknown = "@p99999"
	w := newWorld(t, s.Server)
	w.expect(exitRefused, "pay", "--file", payout(w, 100_000))
	testkit.Contains(t, w.err.String(), "kizo: nothing was paid: row 99999: @p99999: no user has this handle")
	testkit.Equal(t, "batches", s.batches, 0)
	testkit.Equal(t, "look-ups", s.lookUps, 200)
}

// TestPayoutWithoutAnswers ends with 7, and is continued with the rows that may not have been paid.
func TestPayoutWithoutAnswers(t *testing.T) {
	s := newPayoutServer(t)
	s.batch = func(n int, w http.ResponseWriter) bool {
		if n == 1 {
			return false
		}
		w.WriteHeader(http.StatusBadGateway) // as a proxy answers
		return true
	}
	w := newWorld(t, s.Server)
	file := payout(w, 1200)
	w.expect(exitUnknown, "pay", "--file", file, "--run", "r", "--concurrency", "1", "--outage", "1ms", "--json=posted,unknown,unsent")
	testkit.Contains(t, w.out.String(), `{"posted":500,"unknown":500,"unsent":200}`)
	testkit.Contains(t, w.err.String(), `"code":"rows_unknown"`, `"exit_code":7`, "kizo pay resume r")
	w.expect(exitDone, "pay", "status", "r", "--json=posted,unknown,unsent")
	testkit.Contains(t, w.out.String(), `{"posted":500,"unknown":500,"unsent":200}`)

	s.batch = nil
	w.expect(exitDone, "pay", "resume", "r", "--json=posted,unknown,unsent")
	testkit.Contains(t, w.out.String(), `{"posted":1200,"unknown":0,"unsent":0}`)
	testkit.Equal(t, "rows paid", len(s.paid), 1200)
	for key, times := range s.paid {
		if times != 1 {
			t.Errorf("%s was sent %d times after it had a result", key, times)
		}
	}
	lines, err := os.ReadFile(file + ".r.results.jsonl")
	testkit.Must(t, err)
	testkit.Equal(t, "results", strings.Count(string(lines), "\n"), 1200)
	if left, _ := filepath.Glob(filepath.Join(w.dir, "state", "kizo", "pay", "*", "rows")); len(left) > 0 {
		t.Errorf("the finished run keeps %q", left)
	}
}

// TestManyRefusedRowsStopAPayout: --max-errors bounds them, and all of them are listed.
func TestManyRefusedRowsStopAPayout(t *testing.T) {
	s := newPayoutServer(t)
	s.refuse = func(string) client.ProblemCode { return client.InsufficientFunds }
	w := newWorld(t, s.Server)
	w.expect(exitRefused, "pay", "--file", payout(w, 5000), "--run", "r", "--concurrency", "1", "--max-errors", "600")
	testkit.Contains(t, w.err.String(), "row 2 (id 0, 0.01 USD to @p2): refused", "stopped by --max-errors, and 4,000 rows were not sent: 1,000 of 5,000 rows were not paid", "kizo pay refused r")
	testkit.Equal(t, "batches", s.batches, 2)
	w.expect(exitDone, "pay", "refused", "r")
	testkit.Equal(t, "rows listed", strings.Count(w.out.String(), "\n"), 1000)
}

// TestPayoutIsInterrupted: what is under way is finished, the exit code is 130, and the next
// command sends the rest.
func TestPayoutIsInterrupted(t *testing.T) {
	s := newPayoutServer(t)
	w := newWorld(t, s.Server)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s.batch = func(int, http.ResponseWriter) bool { interrupt(); return false }
	file := payout(w, 3000)
	a := w.app("pay", "--file", file, "--run", "r", "--concurrency", "1")
	testkit.Equal(t, "exit code", a.execute(ctx), exitInterrupted)
	testkit.Contains(t, w.err.String(), "kizo: interrupted", "kizo pay resume r")
	if !strings.HasPrefix(w.out.String(), "r\t3000\t500\t0\t0\t0\t2500\t") {
		t.Errorf("the report is %s", &w.out)
	}
	s.batch = nil
	w.expect(exitDone, "pay", "--file", file, "--run", "r", "--json=posted")
	testkit.Contains(t, w.out.String(), `{"posted":3000}`)
	testkit.Equal(t, "rows paid", len(s.paid), 3000)
}

// TestTornResult: a crash can leave half a line. Its row is sent again.
func TestTornResult(t *testing.T) {
	s := newPayoutServer(t)
	w := newWorld(t, s.Server)
	file := payout(w, 3)
	w.expect(exitDone, "pay", "--file", file, "--run", "r")
	results := file + ".r.results.jsonl"
	text, err := os.ReadFile(results)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(results, text[:len(text)-7], 0o600))
	w.expect(exitDone, "pay", "--file", file, "--run", "r", "--json=posted")
	testkit.Contains(t, w.out.String(), `{"posted":3}`)
	testkit.Equal(t, "batches", s.batches, 2)
	text, err = os.ReadFile(results)
	testkit.Must(t, err)
	_, err = readPayResults(strings.NewReader(string(text)), formatOfResults(results), func(*payResult) {})
	testkit.Must(t, err)
	testkit.Equal(t, "results", strings.Count(string(text), "\n"), 3)
}

func TestProgressOfAPayout(t *testing.T) {
	t.Parallel()
	p := &payer{app: &app{io: &streams{}}, results: &payResults{}, plan: payPlan{toPay: 100_000}}
	g := &payProgress{p: p, first: payCounts{posted: 7}}
	p.results.counts = payCounts{posted: 45_007, amounts: map[string]int64{"USD": 123_450}}
	testkit.Equal(t, "line", g.line(4*time.Second), "45,000 of 100,000 rows, 1234.50 USD, 11,250 rows/s, 5s left\n")
	testkit.Equal(t, "bar", g.bar(4*time.Second), "\r[#########-----------] 45,000/100,000 rows  1234.50 USD  11,250 rows/s  5s left\x1b[K")
	testkit.Equal(t, "numbers", grouped(math.MaxInt64)+" "+grouped(999)+" "+grouped(0), "9,223,372,036,854,775,807 999 0")
}
