package hashworker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/JDevAman/kizo/server/auth"
)

// The test binary plays three parts: the tests, the child, and a parent to be killed.
const (
	childPart  = "play-the-child"
	parentPart = "play-the-parent"
	otherPart  = "play-another-program"
)

func TestMain(m *testing.M) {
	if len(os.Args) != 2 {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case childPart:
		err = Serve(os.Stdin, os.Stdout)
	case parentPart:
		w := New(Config{Arguments: []string{childPart}})
		_, err = w.Hash(job("x"))
		fmt.Println(w.PID())
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	case otherPart:
		fmt.Println("Usage: something else")
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newWorker(t testing.TB, change ...func(*Config)) *Worker {
	t.Helper()
	c := Config{Arguments: []string{childPart}, Slots: 2}
	for _, f := range change {
		f(&c)
	}
	w := New(c)
	t.Cleanup(func() {
		pid := w.PID()
		must(t, w.Close())
		if pid != 0 && alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	})
	return w
}

func job(password string) auth.HashJob {
	input := make([]byte, 32)
	copy(input, password)
	return auth.HashJob{
		Params: auth.Argon2Params{MemoryKiB: 64, Time: 1, Threads: 1}, Input: input, Salt: []byte("some salt"), Length: 32,
	}
}

func wantHash(t testing.TB, w *Worker, j auth.HashJob) {
	t.Helper()
	digest, err := w.Hash(j)
	must(t, err)
	if !bytes.Equal(digest, j.Argon2id()) {
		t.Errorf("another digest than in process")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls; it is for what another process will do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s in vain: %s", what)
		}
	}
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return !errors.Is(err, syscall.ESRCH)
}

func TestTheChildHashesAsWeDo(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	if w.PID() != 0 {
		t.Error("a child before anything was hashed")
	}
	for _, j := range []auth.HashJob{
		job("a"), job(""), {Params: auth.DefaultArgon2Params(), Input: job("b").Input, Salt: make([]byte, 16), Length: 32},
		{Params: auth.Argon2Params{MemoryKiB: 128, Time: 3, Threads: 4}, Input: job("c").Input, Salt: make([]byte, 64), Length: 64},
		{Params: auth.Argon2Params{MemoryKiB: 8, Time: 1, Threads: 1}, Input: job("d").Input, Salt: make([]byte, 8), Length: 16},
	} {
		wantHash(t, w, j)
	}
	pid := w.PID()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 20 {
				wantHash(t, w, job(fmt.Sprint(i, k)))
			}
		})
	}
	all.Wait()
	if w.PID() != pid || pid == 0 {
		t.Errorf("child %d has become %d", pid, w.PID())
	}
}

// What hashes is below everything else, each thread of it; and it knows nothing.
func TestTheChildIsLowAndBare(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("what is looked at is in Linux's /proc")
	}
	w := newWorker(t)
	for i := range 20 {
		wantHash(t, w, job(fmt.Sprint(i)))
	}
	pid := w.PID()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	for _, task := range tasks {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, task.Name()))
		must(t, err)
		_, fields, _ := strings.Cut(string(stat), ") ")
		if nice := strings.Fields(fields)[16]; nice != "19" {
			t.Errorf("thread %s has nice %s", task.Name(), nice)
		}
		const idle = "5" // SCHED_IDLE, sched(7)
		if policy := strings.Fields(fields)[38]; policy != idle {
			t.Errorf("thread %s has scheduling policy %s", task.Name(), policy)
		}
		if session := strings.Fields(fields)[3]; session != strconv.Itoa(pid) {
			t.Errorf("thread %s is of session %s, not its own", task.Name(), session)
		}
	}
	if group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid)); err == nil && !strings.Contains(string(group), "nice 19") {
		t.Errorf("its scheduling group: %s", group)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	must(t, err)
	if string(environ) != "GOMAXPROCS=3\x00" {
		t.Errorf("its environment: %q", environ)
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	must(t, err)
	if string(args) != "kizod\x00"+childPart+"\x00" {
		t.Errorf("its arguments: %q", args)
	}
}

// A hash that is under way when the child is killed is done by the next one.
func TestKilledInTheMiddleOfAHash(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	wantHash(t, w, job("first"))
	pid := w.PID()
	done := make(chan error)
	go func() {
		digest, err := w.Hash(job("second"))
		if err == nil && !bytes.Equal(digest, job("second").Argon2id()) {
			err = errors.New("another digest")
		}
		done <- err
	}()
	must(t, syscall.Kill(pid, syscall.SIGSTOP)) // before or after it has answered
	w.mu.Lock()
	c := w.child
	w.mu.Unlock()
	select {
	case err := <-done: // it was quicker
		must(t, err)
		go func() { _, err := w.Hash(job("third")); done <- err }()
	default:
	}
	eventually(t, "a hash is under way", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.waiting) == 1 || len(done) == 1
	})
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	must(t, <-done)
	if w.PID() == pid || w.PID() == 0 {
		t.Errorf("child %d was killed, and it is %d now", pid, w.PID())
	}
}

// One whose children all die gets an error, which is bounded, and never a digest.
func TestChildrenThatAlwaysDie(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	large := job("large")
	large.Params.MemoryKiB, large.Params.Time = 64<<10, 64 // seconds, of which it gets none
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			w.mu.Lock()
			c := w.child
			w.mu.Unlock()
			if c != nil {
				c.kill()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := w.Hash(large)
	close(stop)
	<-stopped
	if !errors.Is(err, errDied) {
		t.Errorf("got %v", err)
	}
	wantHash(t, w, job("afterwards"))
}

func TestAChildThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	wantHash(t, w, job("first"))
	pid := w.PID()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	eventually(t, "it stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") T ")
	})
	w.patience = 50 * time.Millisecond
	if _, err := w.Hash(job("second")); !errors.Is(err, errHung) {
		t.Errorf("got %v", err)
	}
	w.patience = hashWithin
	wantHash(t, w, job("third"))
	if alive(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

func TestAnIdleChildEnds(t *testing.T) {
	t.Parallel()
	w := newWorker(t, func(c *Config) { c.Idle = time.Millisecond })
	for range 3 {
		wantHash(t, w, job("x"))
		eventually(t, "it has ended", func() bool { return w.PID() == 0 })
	}
}

// Killed without a chance to say anything, a parent leaves no child behind.
func TestAParentThatIsKilledLeavesNoChild(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	must(t, err)
	parent := exec.Command(executable, parentPart)
	stdin, err := parent.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil || pid == 0 || !alive(pid) {
		t.Errorf("its child is %d, %v", pid, err)
	}
	must(t, parent.Process.Kill())
	_ = parent.Wait()
	// Its new parent may be slow to bury it: a zombie is gone as well.
	eventually(t, "the child has ended", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return !alive(pid) || err == nil && strings.Contains(string(stat), ") Z ")
	})
}

// Where no child can be had, hashing goes on here.
func TestWithoutAChild(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no such program": func(c *Config) { c.Program = "/nonexistent/kizod" },
		"another program": func(c *Config) { c.Arguments = []string{otherPart} },
	} {
		w := newWorker(t, change)
		for range 2 {
			wantHash(t, w, job(name))
		}
		if w.PID() != 0 {
			t.Errorf("%s: child %d", name, w.PID())
		}
	}
	w := newWorker(t)
	must(t, w.Close())
	wantHash(t, w, job("closed"))
	must(t, w.Close())
}

// FuzzRequests: whatever comes, no panic, and what is accepted is bounded.
func FuzzRequests(f *testing.F) {
	f.Add(encodeRequest(1, job("x")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		id, j, err := decodeRequest(frame)
		if err == nil && (!bytes.Equal(encodeRequest(id, j), frame) || j.Params.MemoryKiB > 1<<20 || len(j.Input) != 32) {
			t.Errorf("%x becomes %+v", frame, j)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	j := auth.HashJob{Params: auth.DefaultArgon2Params(), Input: job("x").Input, Salt: make([]byte, 16), Length: 32}
	b.Run("in process", func(b *testing.B) {
		for b.Loop() {
			j.Argon2id()
		}
	})
	b.Run("child", func(b *testing.B) {
		w := newWorker(b, func(c *Config) { c.Slots = 1 })
		for b.Loop() {
			if _, err := w.Hash(j); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(peakRSS(b, w.PID()))/1024, "MiB-peak")
		b.ReportMetric(float64(cpuTime(b, w.PID()).Milliseconds())/float64(b.N), "cpu-ms/op")
	})
}

// peakRSS of a process, in KiB.
func peakRSS(b *testing.B, pid int) (kib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(b, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib
}

// cpuTime of a process, in steps of the kernel's clock (10 ms).
func cpuTime(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(b, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	var user, system time.Duration
	_, err = fmt.Sscan(strings.Join(strings.Fields(rest)[11:13], " "), &user, &system)
	must(b, err)
	return (user + system) * 10 * time.Millisecond
}
