package sim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/JDevAman/kizo/server/bank"
)

// Decided payments survive a restart, and two banks cannot use one journal.
func TestRestartKeepsAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	cfg := Config{Journal: path, Open: true, Seed: 3, Faults: Faults{RejectDeposits: 0.5, RejectWithdrawals: 0.5}}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil {
		t.Fatal("two banks on one journal")
	}
	before := map[int]Entry{}
	for n := range 40 {
		e, first, err := s.payments.execute(pay(n), s.decide(pay(n), Faults{}))
		if err != nil || !first {
			t.Fatal(first, err)
		}
		before[n] = *e
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.payments.execute(pay(99), s.decide(pay(99), Faults{})); !errors.Is(err, errClosed) {
		t.Errorf("a closed bank executed: %v", err)
	}
	// Another seed and no faults: decided payments do not change.
	s, err = New(Config{Journal: path, Open: true, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n, want := range before {
		e, first, err := s.payments.execute(pay(n), s.decide(pay(n), Faults{}))
		if err != nil || first || *e != want {
			t.Errorf("%d: was %+v, is %+v, %v", n, want, e, err)
		}
	}
	e, first, err := s.payments.execute(pay(100), s.decide(pay(100), Faults{}))
	if err != nil || !first || e.Seq != 41 {
		t.Errorf("the next entry is %+v, %v", e, err)
	}
}

const line1 = `{"seq":1,"ref":"a","direction":"deposit","amount":1,"currency":"USD","status":"executed","at":"2026-01-02T03:04:05Z","bank_ref":"b1"}` + "\n"

func line2(old, new string) string {
	line := strings.NewReplacer(`"seq":1`, `"seq":2`, `"a"`, `"b"`, `"b1"`, `"b2"`).Replace(line1)
	return strings.Replace(line, old, new, 1)
}

// A last line without a newline is ignored, and removed before the next entry is written.
func TestIncompleteLineIsRemoved(t *testing.T) {
	whole := line2("", "")
	for cut := range len(whole) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, []byte(line1+whole[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if entries, err := ReadJournal(path); err != nil || len(entries) != 1 {
			t.Fatalf("cut at %d: ReadJournal returns %v, %v", cut, entries, err)
		}
		s, err := New(Config{Journal: path, Open: true})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		_, first, err := s.payments.execute(pay(1), s.decide(pay(1), Faults{}))
		if err := errors.Join(err, s.Close()); err != nil || !first {
			t.Fatal(first, err)
		}
		if entries, err := ReadJournal(path); err != nil || len(entries) != 2 || entries[1].Seq != 2 {
			t.Fatalf("cut at %d, then paid: %+v, %v", cut, entries, err)
		}
	}
}

// Any other damage is an error for ReadJournal and New, and the file is not changed.
func TestDamagedJournalIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"garbage line":    line1 + "garbage\n",
		"empty line":      line1 + "\n",
		"zeros":           line1 + string(make([]byte, 50)) + "\n" + line2("", ""),
		"incomplete line": line1[:50] + "\n" + line2("", ""),
		"gap":             line1 + line2(`"seq":2`, `"seq":3`),
		"no first line":   line2("", ""),
		"ref twice":       line1 + line2(`"b"`, `"a"`),
		"bank_ref twice":  line1 + line2(`"b2"`, `"b1"`),
		"status":          line1 + line2("executed", "pending"),
		"amount":          line1 + line2(`:1,"currency`, `:-1,"currency`),
		"unknown field":   line1 + line2(`"seq"`, `"x":1,"seq"`),
		"field twice":     line1 + line2(`"seq"`, `"amount":9,"seq"`),
		"endless line":    line1 + strings.Repeat("x", maxLine+1) + "\n",
	} {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadJournal(path); err == nil {
			t.Errorf("%s: ReadJournal accepts it", name)
		}
		if s, err := New(Config{Journal: path, Open: true}); err == nil {
			s.Close()
			t.Errorf("%s: the bank accepts it", name)
		}
		if left, _ := os.ReadFile(path); string(left) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// No answer to Submit, Status or Statement shows a payment that is not on disk.
func TestNoAnswerBeforeTheDisk(t *testing.T) {
	r := start(t, nil)
	c := r.client(t, longTimeout)
	if _, err := c.Submit(t.Context(), pay(1)); err != nil {
		t.Fatal(err)
	}
	r.payments.journal.fsync = func() error { return errors.New("disk failure") }
	for name, call := range map[string]func(context.Context, bank.Instruction) (bank.Answer, error){
		"submit": c.Submit, "again": c.Submit, "status": c.Status,
	} {
		in := pay(2)
		if name == "status" { // of a reference that was submitted
			_, _ = c.Submit(t.Context(), in)
		}
		if a, err := call(t.Context(), in); a != (bank.Answer{}) || !errors.Is(err, bank.CodeHTTPStatus) {
			t.Errorf("%s: got %+v, %v", name, a, err)
		}
	}
	if page, err := c.Statement(t.Context(), 0, 10); err != nil || len(page.Lines) != 1 {
		t.Errorf("statement shows %+v, %v", page, err)
	}
	// What is on disk is still known.
	if a, err := c.Status(t.Context(), pay(1)); err != nil || a.Outcome != bank.Executed {
		t.Errorf("got %+v, %v", a, err)
	}
}

// While the disk is full, nothing is executed and the bank is not healthy. When there is space
// again it continues, and its journal has each payment once.
func TestFullDisk(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "journal", Err: syscall.ENOSPC}
	for name, fill := range map[string]func(j *journal){
		"at once": func(j *journal) { j.write = func([]byte) (int, error) { return 0, full } },
		"after a part": func(j *journal) {
			j.write = func(p []byte) (int, error) { n, _ := j.file.Write(p[:len(p)/2]); return n, full }
		},
		"when synced": func(j *journal) { j.fsync = func() error { return full } },
		"over the quota": func(j *journal) {
			j.write = func([]byte) (int, error) { return 0, &os.PathError{Op: "write", Path: "journal", Err: syscall.EDQUOT} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			c := r.client(t, longTimeout)
			if _, err := c.Submit(t.Context(), pay(1)); err != nil {
				t.Fatal(err)
			}
			j := r.payments.journal
			fill(j)
			for _, n := range []int{2, 3, 2} {
				if a, err := c.Submit(t.Context(), pay(n)); a != (bank.Answer{}) || !errors.Is(err, bank.CodeHTTPStatus) {
					t.Errorf("got %+v, %v", a, err)
				}
			}
			if err := j.health(); !errors.Is(err, full.Err) && !errors.Is(err, syscall.EDQUOT) {
				t.Errorf("healthy on a full disk: %v", err)
			}
			j.write, j.fsync = j.file.Write, j.file.Sync
			if err := j.health(); err != nil {
				t.Error(err)
			}
			for _, n := range []int{1, 2, 3, 4} {
				if a, err := c.Submit(t.Context(), pay(n)); err != nil || a.Outcome != bank.Executed {
					t.Errorf("payment %d: got %+v, %v", n, a, err)
				}
			}
			if got := r.read(t); len(got) != 4 {
				t.Errorf("the journal holds %+v", got)
			}
		})
	}
}

// A bank that is closed while the disk is full leaves no unanswered payment in the journal.
func TestClosedOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, err := New(Config{Journal: path, Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	j := s.payments.journal
	j.write = func(p []byte) (int, error) { n, _ := j.file.Write(p[:len(p)-1]); return n, syscall.ENOSPC }
	if _, _, err := s.payments.execute(pay(1), s.decide(pay(1), Faults{})); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if entries, err := ReadJournal(path); err != nil || len(entries) != 0 {
		t.Errorf("the journal holds %+v, %v", entries, err)
	}
}

// All requests that wait during an fsync share the next one.
func TestFsyncIsShared(t *testing.T) {
	r := start(t, nil)
	j := r.payments.journal
	var syncs int
	entered, release := make(chan struct{}, 8), make(chan struct{})
	j.fsync = func() error {
		syncs++
		entered <- struct{}{}
		<-release
		return nil
	}
	var wg sync.WaitGroup
	submit := func(n int) {
		e, _, err := r.payments.insert(pay(n), r.decide(pay(n), Faults{}))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := j.wait(e.Seq); err != nil {
				t.Error(err)
			}
		})
	}
	submit(0)
	<-entered
	for n := range 100 {
		submit(n + 1)
	}
	close(release)
	wg.Wait()
	if syncs != 2 {
		t.Errorf("101 payments took %d fsyncs, want 2", syncs)
	}
	if got := len(r.read(t)); got != 101 {
		t.Errorf("journal holds %d lines", got)
	}
}

func BenchmarkSubmit(b *testing.B) {
	s, err := New(Config{Journal: filepath.Join(b.TempDir(), "journal"), Open: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var mu sync.Mutex
	n := 0
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			in := pay(n)
			mu.Unlock()
			if _, _, err := s.payments.execute(in, s.decide(in, Faults{})); err != nil {
				b.Error(err)
			}
		}
	})
}
