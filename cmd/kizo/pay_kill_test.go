//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"

	"github.com/JDevAman/kizo/internal/testkit"
)

var (
	payKills = flag.Int("pay-kills", 4, "how often TestPayoutSurvivesKills kills kizo pay")
	paySeed  = flag.Uint64("pay-seed", 1, "where it does")
)

// payoutRows is the size of the payout that is killed: some batches for each kill.
func payoutRows() int { return 1500 * (*payKills + 2) }

// killedPayout is a payout whose process and server are killed.
type killedPayout struct {
	t       *testing.T
	random  *rand.Rand
	payer   *person
	payees  []*person
	dir     string
	file    string
	results string
	format  string           // of the results
	rows    []string         // in their present order
	want    map[string]int64 // minor units, by payee
}

// TestPayoutSurvivesKills kills kizo pay at random moments, and kizod once, and changes the file in
// between. In the end each row has been paid once, and has one result.
func TestPayoutSurvivesKills(t *testing.T) {
	kizod, binary := ownKizod(t)
	proxy := newProxy(t, kizod.URL[len("http://"):])
	p := newKilledPayout(t, "http://"+proxy.address)
	p.payer.kizo("deposit", "900000", "--wait=30s")

	for kill := range *payKills {
		process := p.start()
		p.awaitMoreResults(process)
		if kill == *payKills/2 {
			proxy.disconnect()
			kizod.kill()
			testkit.Must(t, kizod.start(binary))
			proxy.target = kizod.URL[len("http://"):]
			proxy.connect()
			p.awaitMoreResults(process)
		}
		process.kill()
		if kill == 0 {
			p.refusesAChange()
		}
		p.shuffle()
	}
	out, code := p.run("pay", "--file", p.file, "--run", "killed", "--results", p.format, "--json=rows,posted,unsent")
	testkit.Equal(t, "exit code", code, 0)
	testkit.Equal(t, "report", strings.TrimSpace(out), fmt.Sprintf(`{"rows":%d,"posted":%[1]d,"unsent":0}`, len(p.rows)))
	p.check()
}

func newKilledPayout(t *testing.T, server string) *killedPayout {
	t.Helper()
	p := &killedPayout{t: t, random: rand.New(rand.NewPCG(*paySeed, 0)), dir: t.TempDir(), want: make(map[string]int64)}
	p.payer = newPerson(t, server, "payskilled")
	for i := range 3 {
		p.payees = append(p.payees, newPerson(t, server, fmt.Sprintf("paidkilled%d", i)))
	}
	p.file = filepath.Join(p.dir, "payouts.csv")
	p.format = []string{"csv", "jsonl"}[*paySeed%2]
	p.results = p.file + ".killed.results." + p.format
	for i := range payoutRows() {
		to, amount := p.payees[p.random.IntN(len(p.payees))].handle, 1+p.random.Int64N(300)
		p.want[to] += amount
		p.rows = append(p.rows, fmt.Sprintf("@%s,%d.%02d,USD,%d", to, amount/100, amount%100, i))
	}
	p.write()
	return p
}

func (p *killedPayout) write() {
	p.t.Helper()
	testkit.Must(p.t, os.WriteFile(p.file, []byte("to,amount,currency,id\n"+strings.Join(p.rows, "\n")+"\n"), 0o600))
}

func (p *killedPayout) shuffle() {
	p.random.Shuffle(len(p.rows), func(i, j int) { p.rows[i], p.rows[j] = p.rows[j], p.rows[i] })
	p.write()
}

// payProcess is a running payout.
type payProcess struct {
	command *exec.Cmd
	ended   chan struct{}
}

func (p *payProcess) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// start starts the payout.
func (p *killedPayout) start() *payProcess {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "kizo", "pay", "--file", p.file, "--run", "killed", "--results", p.format, "--concurrency", fmt.Sprint(1+p.random.IntN(maxPayConcurrency)))
	command.Env, command.Dir = append(os.Environ(), p.payer.env...), p.dir
	testkit.Must(p.t, command.Start())
	process := &payProcess{command, make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(process.ended)
	}()
	return process
}

// awaitMoreResults returns when a random number of further results have been written, or when the
// process has ended.
func (p *killedPayout) awaitMoreResults(process *payProcess) {
	p.t.Helper()
	watcher, err := fsnotify.NewWatcher()
	testkit.Must(p.t, err)
	defer watcher.Close()
	testkit.Must(p.t, watcher.Add(p.dir))
	const usual = 200 // bytes of a result
	enough := p.size() + p.random.Int64N(1500*usual)
	for p.size() < enough {
		select {
		case <-watcher.Events:
		case err := <-watcher.Errors:
			p.t.Fatal(err)
		case <-process.ended:
			return
		}
	}
}

func (p *killedPayout) size() int64 {
	info, err := os.Stat(p.results)
	if err != nil {
		return 0
	}
	return info.Size()
}

// run runs kizo as the payer.
func (p *killedPayout) run(args ...string) (out string, code int) {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "kizo", args...)
	command.Env, command.Dir = append(os.Environ(), p.payer.env...), p.dir
	text, err := command.Output()
	ended, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed {
		p.t.Fatal(err)
	}
	if failed {
		return string(text) + string(ended.Stderr), ended.ExitCode()
	}
	return string(text), 0
}

// refusesAChange changes a row that has been paid: it is named, and nothing is paid.
func (p *killedPayout) refusesAChange() {
	p.t.Helper()
	done := p.done()
	if len(done) == 0 {
		return
	}
	before, at := p.size(), done[0].Row-2 // the header is row 1
	row := p.rows[at]
	p.rows[at] = fmt.Sprintf("%s,9.99,USD,%s", done[0].To, done[0].ID)
	p.write()
	out, code := p.run("pay", "--file", p.file, "--run", "killed", "--results", p.format)
	testkit.Equal(p.t, "exit code", code, exitRefused)
	testkit.Contains(p.t, out, fmt.Sprintf("nothing was paid: row %d: the row with the id %q was changed", done[0].Row, done[0].ID))
	if p.size() > before {
		p.t.Error("rows were paid beside one that was changed")
	}
	p.rows[at] = row
	p.write()
}

// done returns the complete results.
func (p *killedPayout) done() (results []payResult) {
	p.t.Helper()
	file, err := os.Open(p.results)
	if err != nil {
		return nil
	}
	defer file.Close()
	_, err = readPayResults(file, formatOfResults(p.results), func(r *payResult) { results = append(results, *r) })
	testkit.Must(p.t, err)
	return results
}

// check compares the results and the balances with the file.
func (p *killedPayout) check() {
	p.t.Helper()
	seen := make(map[string]bool)
	transfers := make(map[string]bool)
	sums := make(map[string]int64)
	for _, r := range p.done() {
		if r.State != rowPosted || seen[r.ID] || transfers[r.TransferID] {
			p.t.Errorf("the result of row %s is %s; again: %t", r.ID, r.State, seen[r.ID])
		}
		seen[r.ID], transfers[r.TransferID] = true, true
		sums[strings.TrimPrefix(r.To, "@")] += r.Amount
	}
	testkit.Equal(p.t, "rows with a result", len(seen), len(p.rows))
	total := int64(0)
	for _, payee := range p.payees {
		testkit.Equal(p.t, "results for "+payee.handle, sums[payee.handle], p.want[payee.handle])
		testkit.Equal(p.t, "balance of "+payee.handle, balanceOf(p.t, payee), p.want[payee.handle])
		total += p.want[payee.handle]
	}
	testkit.Equal(p.t, "balance of the payer", balanceOf(p.t, p.payer), 900_000_00-total)
}

// balanceOf returns a balance in USD, in minor units.
func balanceOf(t *testing.T, of *person) int64 {
	t.Helper()
	var wallet struct{ Balance int64 }
	testkit.Must(t, json.Unmarshal([]byte(of.data("balance", "USD", "--json=balance")), &wallet))
	return wallet.Balance
}
