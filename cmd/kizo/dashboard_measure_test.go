//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/JDevAman/kizo/client"
	"github.com/JDevAman/kizo/internal/testkit"
)

// percentile returns a percentile of times, rounded up to one of them.
func percentile(times []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func inFull(times []time.Duration) string {
	return fmt.Sprintf("%d times: p50 %s, p95 %s, max %s", len(times), percentile(times, .5).Round(100*time.Microsecond),
		percentile(times, .95).Round(100*time.Microsecond), percentile(times, 1).Round(100*time.Microsecond))
}

// drawnAt waits until the screen shows a text and returns the time when it did.
func (w *window) drawnAt(text string) time.Time {
	w.t.Helper()
	w.until(text)
	return time.Now()
}

// TestPostedIsDrawn measures the time from the ledger's timestamp of a posting to its row on the
// screen, on the same clock.
func TestPostedIsDrawn(t *testing.T) {
	kizod, err := startKizod()
	testkit.Must(t, err)
	ada, bob := newPerson(t, kizod.URL, "adalate"), newPerson(t, kizod.URL, "boblate")
	bob.kizo("deposit", "500", "--wait=30s")
	w := openWindow(t, 160, 40, ada.env, "dashboard")
	w.until("● LIVE")
	var rows, balances []time.Duration
	sender := bob.client()
	for i := range 40 {
		memo := fmt.Sprintf("n%03d", i)
		posted := sender.send(t, "@"+ada.handle, 1_25, memo)
		rows = append(rows, w.drawnAt(memo).Sub(posted))
		balances = append(balances, w.drawnAt(strings.TrimSuffix(amountOf(int64(i+1)*1_25, "USD"), " USD")).Sub(posted))
	}
	t.Logf("posted in the ledger to drawn: line %s; balance %s", inFull(rows), inFull(balances))
	if os.Getenv("KIZO_MEASURE") != "" && percentile(balances, .95) > 300*time.Millisecond {
		t.Error("p95 is beyond 300 ms")
	}
}

// TestTheDashboardUnderLoad runs with 100,000 transfers in the account, and then 1,000 events per
// second for 30 seconds. Its kizod has no limit of the rate of a user's requests.
func TestTheDashboardUnderLoad(t *testing.T) {
	if os.Getenv("KIZO_MEASURE") == "" {
		t.Skip("minutes of full load: KIZO_MEASURE=1 runs it")
	}
	t.Setenv("KIZO_RATE_LIMIT", "0")
	kizod, _ := ownKizod(t)
	ada, bob := newPerson(t, kizod.URL, "adamany"), newPerson(t, kizod.URL, "bobmany")
	bob.kizo("deposit", "100000", "--wait=30s")
	began := time.Now()
	bob.client().flood(t, "@"+ada.handle, 100_000, 500, 0)
	t.Logf("100,000 transfers in %s", time.Since(began).Round(time.Second))

	opened := time.Now()
	w := openWindow(t, 160, 40, ada.env, "dashboard")
	w.until("[1 Wallet]")
	t.Logf("the first screen is drawn after %s", time.Since(opened).Round(time.Millisecond))
	w.until("● LIVE", "1 000.00")
	t.Logf("the first balance is drawn after %s", time.Since(opened).Round(time.Millisecond))
	w.types("2/state:posted" + enter) // a list that was not read before
	opened = time.Now()
	w.until("(c clears)", "flood-0999")
	t.Logf("100,000 transfers: a filtered list is drawn after %s", time.Since(opened).Round(time.Millisecond))
	w.types("c")
	w.until("/ filter  enter read", "flood-0999")
	w.scrollsDown(30)
	w.types("g")
	w.until("flood-0999")
	underEvents(t, w, func() { bob.client().flood(t, "@"+ada.handle, 30_000, 50, 1000) })
}

// scrollsDown goes at least so many pages further down in the list of the flood.
func (w *window) scrollsDown(pages int) {
	began := time.Now()
	memo := regexp.MustCompile(`flood-(\d+)`)
	for wanted := fmt.Sprintf("%06d", 100_000-100*pages); ; {
		oldest := "999999"
		for _, found := range memo.FindAllStringSubmatch(w.screen.Text(), -1) {
			oldest = min(oldest, found[1])
		}
		if oldest <= wanted {
			break
		}
		w.types("G") // to the end of the loaded part
		select {
		case <-w.drawn:
		case <-time.After(time.Minute):
			w.t.Fatalf("%s is not reached:\n%s", wanted, w.screen.Text())
		}
	}
	w.t.Logf("%d pages further down after %s", pages, time.Since(began).Round(time.Millisecond))
}

// underEvents measures the dashboard while events arrive.
func underEvents(t *testing.T, w *window, flood func()) {
	t.Helper()
	before := used(t, w)
	flooded := make(chan time.Duration, 1)
	go func() {
		start := time.Now()
		flood()
		flooded <- time.Since(start)
	}()
	var keys []time.Duration
	frames := w.frames.Load()
	maxMemory := before.memory
	began := time.Now()
	var took time.Duration
	for page := 0; took == 0; page++ {
		pressed := time.Now()
		w.types([]string{"1", "2"}[page%2])
		w.until([]string{"[1 Wallet]", "[2 Transfers]"}[page%2])
		keys = append(keys, time.Since(pressed))
		maxMemory = max(maxMemory, used(t, w).memory)
		select {
		case took = <-flooded:
		case <-time.After(100 * time.Millisecond): // the pause of a typing user, not a wait for an event
		}
	}
	after := used(t, w)
	seconds := time.Since(began).Seconds()
	t.Logf("30,000 events in %s: key to frame %s", took.Round(time.Second), inFull(keys))
	t.Logf("%.0f frames/s, processor %.0f %% of a core, memory %d MB before, %d MB at most",
		float64(w.frames.Load()-frames)/seconds, 100*(after.processor-before.processor).Seconds()/seconds, before.memory>>20, maxMemory>>20)
	if percentile(keys, .95) > 50*time.Millisecond {
		t.Error("key to frame is beyond 50 ms")
	}
	if (after.processor - before.processor).Seconds() > seconds/4 {
		t.Error("more than a quarter of a core")
	}
	if maxMemory > before.memory+64<<20 {
		t.Error("memory is not flat")
	}
}

// processUsage is the processor time that a process has used and the memory that it holds.
type processUsage struct {
	processor time.Duration
	memory    int64 // bytes
}

// used returns the usage of a process from /proc (Linux).
func used(t *testing.T, w *window) processUsage {
	t.Helper()
	dir := filepath.Join("/proc", fmt.Sprint(w.command.Process.Pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		t.Skip("no /proc here")
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var user, system, pages int64
	if _, err := fmt.Sscan(strings.Join([]string{fields[11], fields[12], fields[21]}, " "), &user, &system, &pages); err != nil {
		t.Fatal(err)
	}
	const ticks = 100 // per second, on every Linux that Go supports
	return processUsage{time.Duration(user+system) * time.Second / ticks, pages * int64(syscall.Getpagesize())}
}

// sender sends money with package client, because a process for each transfer would be too slow.
type sender struct{ *client.Client }

func (p *person) client() sender {
	p.t.Helper()
	var session storedSession
	files, _ := filepath.Glob(filepath.Join(p.state(), "kizo", "sessions", "*.json"))
	if len(files) != 1 {
		p.t.Fatal(files)
	}
	text, err := os.ReadFile(files[0])
	if err == nil {
		err = json.Unmarshal(text, &session)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	kizo, err := client.New(client.Config{Server: session.Server, Tokens: client.StaticToken(session.AccessToken)})
	if err != nil {
		p.t.Fatal(err)
	}
	return sender{kizo}
}

// send makes a transfer and returns the time at which the ledger posted it.
func (s sender) send(t *testing.T, to string, amount int64, memo string) time.Time {
	t.Helper()
	receipt, err := s.pay(t.Context(), to, amount, memo)
	testkit.Must(t, err)
	return *receipt.Transfer.ResolvedAt
}

func (s sender) pay(ctx context.Context, to string, amount int64, memo string) (client.Receipt, error) {
	command, err := client.NewTransfer(client.NewKey(), client.TransferCreate{To: to, Amount: amount, Currency: "USD", Memo: &memo})
	if err != nil {
		return client.Receipt{}, err
	}
	return s.Send(ctx, command)
}

// flood sends one cent many times, in batches, at a number of transfers per second, or as fast as
// possible if that is zero. The memos are numbered in the order of the transfers.
func (s sender) flood(t *testing.T, to string, transfers, batch, perSecond int) {
	t.Helper()
	start := time.Now()
	for first := 0; first < transfers; first += batch {
		if perSecond > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(first) * time.Second / time.Duration(perSecond)))) // its turn
		}
		var body client.TransferBatch
		for n := first; n < min(first+batch, transfers); n++ {
			memo := fmt.Sprintf("flood-%06d", n)
			body.Transfers = append(body.Transfers, client.BatchTransfer{IdempotencyKey: client.NewKey(), To: to, Amount: 1, Currency: "USD", Memo: &memo})
		}
		result, err := s.SendBatch(t.Context(), body)
		if err != nil {
			t.Error(err)
			return
		}
		for _, r := range result.Results {
			if r.Problem != nil {
				t.Errorf("%s", r.Problem.Detail)
				return
			}
		}
	}
}
