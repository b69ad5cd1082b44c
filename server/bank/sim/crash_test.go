package sim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/JDevAman/kizo/server/bank"
)

// TestMain runs the bank of TestKilledBankKeepsItsAnswers in a process of its own.
func TestMain(m *testing.M) {
	if path := os.Getenv("KIZO_TEST_BANK_JOURNAL"); path != "" {
		if err := serveUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(path string) error {
	s, err := New(Config{Journal: path, Open: true})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // this process ends with its parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return s.Serve(ctx, ln)
}

// A bank that was killed gives the same answers as before.
func TestKilledBankKeepsItsAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "KIZO_TEST_BANK_JOURNAL="+path)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c, err := bank.NewClient(bank.ClientConfig{URL: "http://" + strings.TrimSpace(addr), Timeout: longTimeout})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	answers := map[bank.Instruction]bank.Answer{}
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for n := worker; ; n += 16 {
				a, err := c.Submit(context.Background(), pay(n))
				if err != nil {
					return // killed
				}
				mu.Lock()
				if answers[pay(n)] = a; len(answers) == 200 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	_ = child.Process.Kill()
	wg.Wait()
	_ = child.Wait()

	r := start(t, func(c *Config) { c.Journal = path })
	again := r.client(t, longTimeout)
	for in, want := range answers {
		for op, call := range map[string]func(context.Context, bank.Instruction) (bank.Answer, error){
			"status": again.Status, "submit": again.Submit,
		} {
			if got, err := call(t.Context(), in); err != nil || got != want {
				t.Fatalf("%s %s: was %+v, is %+v, %v", op, in.Ref, want, got, err)
			}
		}
	}
}
