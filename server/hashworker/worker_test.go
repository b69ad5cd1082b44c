package hashworker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
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
	busyPart   = "play-a-busy-loop"
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
		fmt.Println(w.PIDs()[0])
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	case busyPart:
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		for { //nolint:revive,staticcheck // what it is for
		}
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
	c := Config{Arguments: []string{childPart}}
	for _, f := range change {
		f(&c)
	}
	w := New(c)
	t.Cleanup(func() {
		pids := w.PIDs()
		must(t, w.Close())
		for _, pid := range pids {
			eventually(t, "the child has ended", func() bool { return !alive(pid) })
		}
	})
	return w
}

// onlyPID is that of the one child of w; 0 if there is none.
func onlyPID(t testing.TB, w *Worker) int {
	t.Helper()
	switch pids := w.PIDs(); len(pids) {
	case 0:
		return 0
	case 1:
		return pids[0]
	default:
		t.Fatalf("children %v, want one", pids)
		return 0
	}
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

func TestChildHashesLikeArgon2id(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	if pid := onlyPID(t, w); pid != 0 {
		t.Errorf("child %d before the first hash", pid)
	}
	for _, j := range []auth.HashJob{
		job("a"), job(""), {Params: auth.DefaultArgon2Params(), Input: job("b").Input, Salt: make([]byte, 16), Length: 32},
		{Params: auth.Argon2Params{MemoryKiB: 128, Time: 3, Threads: 4}, Input: job("c").Input, Salt: make([]byte, 64), Length: 64},
		{Params: auth.Argon2Params{MemoryKiB: 8, Time: 1, Threads: 1}, Input: job("d").Input, Salt: make([]byte, 8), Length: 16},
	} {
		wantHash(t, w, j)
	}
	if onlyPID(t, w) == 0 {
		t.Error("hashed without a child")
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 20 {
				wantHash(t, w, job(fmt.Sprint(i, k)))
			}
		})
	}
	all.Wait()
	if n := len(w.PIDs()); n > 8 {
		t.Errorf("%d children for 8 callers", n)
	}
}

// A new child is below everything else, each thread of it, and knows no secrets.
func TestChildHasIdlePriorityAndNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	w.limits.starved = time.Hour // also on a busy machine: this test is about the first child
	for i := range 20 {
		wantHash(t, w, job(fmt.Sprint(i)))
	}
	pid := onlyPID(t, w)
	wantPriority(t, pid, priorityIdle)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	must(t, err)
	if string(environ) != "GOMAXPROCS=1\x00" {
		t.Errorf("its environment: %q", environ)
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	must(t, err)
	if string(args) != "kizod\x00"+childPart+"\x00" {
		t.Errorf("its arguments: %q", args)
	}
}

// wantPriority reads the priority of each thread of a child and of its scheduling group
// in Linux's /proc.
func wantPriority(t *testing.T, pid int, want priority) {
	t.Helper()
	const idleClass, normalClass = "5", "0" // SCHED_IDLE and SCHED_OTHER, sched(7)
	nice, class := own(t), normalClass
	switch want {
	case priorityIdle:
		nice, class = "19", idleClass
	case priorityLow:
		nice = "19"
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	for _, task := range tasks {
		fields := statFields(t, fmt.Sprintf("/proc/%d/task/%s/stat", pid, task.Name()))
		if fields[16] != nice || fields[38] != class {
			t.Errorf("priority %v: thread %s has nice %s and scheduling class %s, want %s and %s", want, task.Name(), fields[16], fields[38], nice, class)
		}
		if fields[3] != strconv.Itoa(pid) {
			t.Errorf("thread %s is of session %s, not its own", task.Name(), fields[3])
		}
	}
	if want == priorityNormal {
		return
	}
	if group, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid)); err == nil && !strings.Contains(string(group), "nice 19") {
		t.Errorf("its scheduling group: %s", group)
	}
}

// own nice value, which a child of normal priority has as well.
func own(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("priorities are read in Linux's /proc")
	}
	return statFields(t, "/proc/self/stat")[16]
}

// statFields are those of proc(5) from the third on.
func statFields(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	_, fields, _ := strings.Cut(string(text), ") ")
	return strings.Fields(fields)
}

// stopChild stops a child as a scheduler that never chooses it would.
func stopChild(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	eventually(t, "it stands still", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") T ")
	})
}

// A hash that is under way when the child is killed is done by another one.
func TestChildKilledDuringAHash(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	w.limits.starved = time.Hour
	wantHash(t, w, job("first"))
	pid := onlyPID(t, w)
	stopChild(t, pid)
	done := make(chan error)
	go func() {
		digest, err := w.Hash(job("second"))
		if err == nil && !bytes.Equal(digest, job("second").Argon2id()) {
			err = errors.New("another digest")
		}
		done <- err
	}()
	eventually(t, "the hash is under way", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.busy) == 1
	})
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	must(t, <-done)
	if now := onlyPID(t, w); now == pid || now == 0 {
		t.Errorf("child %d was killed, and it is %d now", pid, now)
	}
}

// If all children die the caller gets an error, in bounded time, and never a digest.
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
			for c := range w.busy {
				c.kill()
			}
			w.mu.Unlock()
			runtime.Gosched()
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

// alwaysStarved has each child replaced at its first check, up to the highest priority.
var alwaysStarved = limits{check: time.Millisecond, starved: -time.Hour, stalled: time.Hour, cpu: time.Hour}

// longJob takes many checks of alwaysStarved.
func longJob() auth.HashJob {
	long := job("long")
	long.Params.MemoryKiB, long.Params.Time = 19<<10, 4
	return long
}

// raises are the priorities that a Worker has raised jobs to.
type raises struct {
	mu   sync.Mutex
	list []string
}

func (r *raises) add(p string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, p)
}

func (r *raises) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Join(r.list, " ")
	r.list = nil
	return all
}

// A job whose child does not get the CPU goes to children of higher priority, step by
// step. The last one does the next jobs as well, until it has been free for a while.
func TestStarvedJobIsRaised(t *testing.T) {
	t.Parallel()
	own(t) // skips where there is no /proc
	var raised raises
	w := newWorker(t, func(c *Config) { c.OnPriorityRaised = raised.add })
	w.limits = alwaysStarved
	wantHash(t, w, longJob())
	if got := raised.take(); got != "low normal" {
		t.Errorf("raised to %q, want low, then normal", got)
	}
	pid := onlyPID(t, w)
	wantPriority(t, pid, priorityNormal)
	wantHash(t, w, longJob())
	if got := raised.take(); got != "" || onlyPID(t, w) != pid {
		t.Errorf("raised to %q again, child %d instead of %d", got, onlyPID(t, w), pid)
	}
	w.mu.Lock()
	c := w.free[0]
	w.mu.Unlock()
	w.retire(c)
	w.limits.starved = time.Hour
	wantHash(t, w, job("later"))
	wantPriority(t, onlyPID(t, w), priorityIdle)
}

// A child that works on without a pause is judged by all of that time, however short
// its jobs are; after a pause by its next job alone.
func TestStarvationIsJudgedOverAQueueOfJobs(t *testing.T) {
	t.Parallel()
	own(t)
	w := newWorker(t)
	c, err := w.start(priorityIdle)
	must(t, err)
	defer w.release(c)
	stopChild(t, c.cmd.Process.Pid) // so that its CPU time stands still
	cpu, _ := cpuTime(c.cmd.Process.Pid)
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for _, test := range []struct {
		name     string
		freed    time.Time
		span     span
		priority priority
		want     bool
	}{
		{"many jobs without the CPU", ago(0), span{ago(time.Hour), cpu}, priorityIdle, true},
		{"many jobs with a quarter of a CPU", ago(0), span{ago(time.Hour), cpu - 15*time.Minute}, priorityIdle, true},
		{"many jobs with half of a CPU", ago(0), span{ago(time.Hour), cpu - 30*time.Minute}, priorityIdle, false},
		{"a job after a pause", ago(time.Minute), span{ago(time.Hour), cpu}, priorityIdle, false},
		{"low priority", ago(0), span{ago(time.Hour), cpu}, priorityLow, true},
		{"normal priority", ago(0), span{ago(time.Hour), cpu}, priorityNormal, false},
	} {
		c.freed, c.span, c.priority = test.freed, test.span, test.priority
		c.resume()
		if got := c.starved(limits{starved: 10 * time.Minute}); got != test.want {
			t.Errorf("%s: starved is %v", test.name, got)
		}
	}
	must(t, syscall.Kill(c.cmd.Process.Pid, syscall.SIGCONT))
}

func TestPriorityOfARaisedChild(t *testing.T) {
	t.Parallel()
	own(t)
	w := newWorker(t)
	c, err := w.start(priorityLow)
	must(t, err)
	digest, err := w.hashIn(c, job("x")) // has lowered its priority once it answers
	must(t, err)
	if !bytes.Equal(digest, job("x").Argon2id()) {
		t.Error("another digest than in process")
	}
	if onlyPID(t, w) == c.cmd.Process.Pid { // a busy machine may have raised it
		wantPriority(t, c.cmd.Process.Pid, priorityLow)
	}
}

// A child that hangs loses its job to a new one; the job is done.
func TestChildThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	wantHash(t, w, job("first"))
	pid := onlyPID(t, w)
	stopChild(t, pid)
	w.limits.check, w.limits.starved = time.Millisecond, 20*time.Millisecond
	wantHash(t, w, job("second"))
	if onlyPID(t, w) == pid {
		t.Errorf("process %d is still in use", pid)
	}
	eventually(t, "the old child has ended", func() bool { return !alive(pid) })
}

// At the highest priority a child without CPU time is killed, and one that goes on
// without end.
func TestChildWithoutProgressIsKilled(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]limits{
		"no CPU time":       {check: time.Millisecond, starved: time.Hour, stalled: 50 * time.Millisecond, cpu: time.Hour},
		"too much CPU time": {check: time.Millisecond, starved: time.Hour, stalled: time.Hour, cpu: -time.Hour},
	} {
		w := newWorker(t)
		c, err := w.start(priorityNormal)
		must(t, err)
		pid := c.cmd.Process.Pid
		stopChild(t, pid)
		w.limits = l
		if _, err := w.hashIn(c, job("x")); !errors.Is(err, errStalled) {
			t.Errorf("%s: got %v", name, err)
		}
		<-c.exited
		w.limits = defaultLimits
		wantHash(t, w, job("next"))
	}
}

// The CPU is taken by other processes in sessions of their own: passwords are hashed
// all the same, and no work is lost to a timeout.
func TestHashingBesideBusyProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes every CPU for some seconds")
	}
	own(t)
	startBusyProcesses(t, 6*runtime.NumCPU())
	w := newWorker(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil)) })
	j := auth.HashJob{Params: auth.DefaultArgon2Params(), Input: job("x").Input, Salt: make([]byte, 16), Length: 32}
	for i := range 4 {
		began := time.Now()
		if _, err := w.Hash(j); err != nil {
			t.Errorf("hash %d: %v", i, err)
		}
		t.Logf("hash %d took %v", i, time.Since(began).Round(time.Millisecond))
	}
}

// startBusyProcesses starts n processes that use all the CPU time they get, every
// second one at nice 19, until the test ends.
func startBusyProcesses(t *testing.T, n int) {
	t.Helper()
	executable, err := os.Executable()
	must(t, err)
	for i := range n {
		busy := exec.Command(executable, busyPart)
		busy.SysProcAttr = attributes()
		stdin, err := busy.StdinPipe()
		must(t, err)
		must(t, busy.Start())
		t.Cleanup(func() {
			_ = stdin.Close()
			_ = busy.Process.Kill()
			_ = busy.Wait()
		})
		if i%2 == 1 {
			must(t, syscall.Setpriority(syscall.PRIO_PROCESS, busy.Process.Pid, lowestNice))
		}
	}
}

func TestIdleChildEnds(t *testing.T) {
	t.Parallel()
	w := newWorker(t, func(c *Config) { c.Idle = time.Millisecond })
	for range 3 {
		wantHash(t, w, job("x"))
		eventually(t, "it has ended", func() bool { return onlyPID(t, w) == 0 })
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
		if pid := onlyPID(t, w); pid != 0 {
			t.Errorf("%s: child %d", name, pid)
		}
	}
	w := newWorker(t)
	must(t, w.Close())
	wantHash(t, w, job("closed"))
	must(t, w.Close())
}

// FuzzRequests: whatever comes, no panic, and what is accepted is bounded.
func FuzzRequests(f *testing.F) {
	f.Add(encodeRequest(job("x")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		j, err := decodeRequest(frame)
		if err == nil && (!bytes.Equal(encodeRequest(j), frame) || j.Params.MemoryKiB > 1<<20 || len(j.Input) != 32) {
			t.Errorf("%x becomes %+v", frame, j)
		}
	})
}

// BenchmarkHash measures one hash at a time, and as many as there are CPUs.
func BenchmarkHash(b *testing.B) {
	j := auth.HashJob{Params: auth.DefaultArgon2Params(), Input: job("x").Input, Salt: make([]byte, 16), Length: 32}
	b.Run("in process", func(b *testing.B) {
		for b.Loop() {
			j.Argon2id()
		}
	})
	for _, callers := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("children=%d", callers), func(b *testing.B) {
			w := newWorker(b)
			w.limits.starved = time.Hour // so that all CPU time is that of the same children
			slots := make(chan struct{}, callers)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					slots <- struct{}{}
					_, err := w.Hash(j)
					<-slots
					if err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			var peak int
			var cpu time.Duration
			for _, pid := range w.PIDs() {
				peak, cpu = max(peak, peakRSS(b, pid)), cpu+knownCPUTime(b, pid)
			}
			b.ReportMetric(float64(peak)/1024, "MiB-peak/child")
			b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

func knownCPUTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	used, known := cpuTime(pid)
	if !known {
		b.Fatalf("no CPU time of process %d", pid)
	}
	return used
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
