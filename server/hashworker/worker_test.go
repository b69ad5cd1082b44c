package hashworker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/JDevAman/kizo/internal/argon2"
	"github.com/JDevAman/kizo/internal/testkit"
	"github.com/JDevAman/kizo/server/auth"
)

// Arguments that make the test binary run as one of the programs of a test.
const (
	childPart  = "run-as-child"
	parentPart = "run-as-parent"
	otherPart  = "run-as-another-program"
	busyPart   = "run-as-busy-loop"
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
		fmt.Println(pids(w)[0])
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
		all := children(w)
		testkit.Must(t, w.Close())
		for _, c := range all {
			<-c.exited
		}
	})
	return w
}

func children(w *Worker) []*child {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.AppendSeq(slices.Clone(w.free), maps.Keys(w.busy))
}

func pids(w *Worker) (pids []int) {
	for _, c := range children(w) {
		pids = append(pids, c.cmd.Process.Pid)
	}
	return pids
}

// onlyChild returns the one child of w; nil if there is none.
func onlyChild(t testing.TB, w *Worker) *child {
	t.Helper()
	switch all := children(w); len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	default:
		t.Fatalf("children %v, want one", pids(w))
		return nil
	}
}

// onlyPID returns the process id of the one child of w; 0 if there is none.
func onlyPID(t testing.TB, w *Worker) int {
	t.Helper()
	if c := onlyChild(t, w); c != nil {
		return c.cmd.Process.Pid
	}
	return 0
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
	testkit.Must(t, err)
	if !bytes.Equal(digest, j.Argon2id(new(argon2.Memory))) {
		t.Errorf("the digest differs from that of this process")
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
	if n := len(children(w)); n > 8 {
		t.Errorf("%d children for 8 callers", n)
	}
}

// Every thread of a new child has the lowest priority, and the child has no secrets.
func TestChildHasIdlePriorityAndNoSecrets(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	w.limits.starved = time.Hour // even on a busy machine, the first child is not replaced
	for i := range 20 {
		wantHash(t, w, job(fmt.Sprint(i)))
	}
	pid := onlyPID(t, w)
	wantPriority(t, pid, priorityIdle)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	testkit.Must(t, err)
	if string(environ) != "GOMAXPROCS=1\x00" {
		t.Errorf("its environment: %q", environ)
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	testkit.Must(t, err)
	if string(args) != "kizod\x00"+childPart+"\x00" {
		t.Errorf("its arguments: %q", args)
	}
}

// wantPriority checks the priority of each thread of a child and of its scheduling group,
// as /proc of Linux shows it.
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
	testkit.Must(t, err)
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

// own returns the nice value of this process, which a child of normal priority has too.
// It skips the test where there is no /proc.
func own(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("priorities are read in Linux's /proc")
	}
	return statFields(t, "/proc/self/stat")[16]
}

// statFields returns the fields of proc(5) from the third one on.
func statFields(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	testkit.Must(t, err)
	_, fields, _ := strings.Cut(string(text), ") ")
	return strings.Fields(fields)
}

// stopChild stops a child, as if the scheduler never ran it.
func stopChild(t *testing.T, pid int) {
	t.Helper()
	testkit.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	testkit.Eventually(t, "the child is stopped", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") T ")
	})
}

// If the child is killed during a hash, another child repeats it.
func TestChildKilledDuringAHash(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	w.limits.starved = time.Hour
	wantHash(t, w, job("first"))
	first := onlyChild(t, w)
	stopChild(t, first.cmd.Process.Pid)
	done := make(chan error)
	go func() {
		digest, err := w.Hash(job("second"))
		if err == nil && !bytes.Equal(digest, job("second").Argon2id(new(argon2.Memory))) {
			err = errors.New("another digest")
		}
		done <- err
	}()
	testkit.Eventually(t, "a child is busy", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.busy) == 1
	})
	testkit.Must(t, syscall.Kill(first.cmd.Process.Pid, syscall.SIGKILL))
	testkit.Must(t, <-done)
	if next := onlyChild(t, w); next == first || next == nil {
		t.Errorf("the child that was killed was not replaced: %v", pids(w))
	}
}

// If every child dies, the caller gets an error in bounded time, and never a digest.
func TestChildrenThatAlwaysDie(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	large := job("large")
	large.Params.MemoryKiB, large.Params.Time = 64<<10, 64 // takes seconds
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

// alwaysStarved replaces each child at its first check, up to the highest priority.
var alwaysStarved = limits{check: time.Millisecond, starved: -time.Hour, stalled: time.Hour, cpu: time.Hour}

// longJob takes longer than many checks of alwaysStarved.
func longJob() auth.HashJob {
	long := job("long")
	long.Params.MemoryKiB, long.Params.Time = 19<<10, 4
	return long
}

// raises collects the priorities that a Worker has raised jobs to.
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

// A job whose child gets too little CPU time moves to children of higher priority, step by
// step. The last child also takes the next jobs, until it is retired.
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

// The CPU share of a child is that of all jobs without a pause between them, however short
// they are. After a pause only the next job counts.
func TestStarvationCountsAQueueOfJobs(t *testing.T) {
	t.Parallel()
	own(t)
	w := newWorker(t)
	c, err := w.start(priorityIdle)
	testkit.Must(t, err)
	defer w.release(c)
	stopChild(t, c.cmd.Process.Pid) // so that its CPU time does not change
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
		{"many jobs with a twentieth of a CPU", ago(0), span{ago(time.Hour), cpu - 3*time.Minute}, priorityIdle, true},
		{"many jobs with a fifth of a CPU", ago(0), span{ago(time.Hour), cpu - 12*time.Minute}, priorityIdle, false},
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
	testkit.Must(t, syscall.Kill(c.cmd.Process.Pid, syscall.SIGCONT))
}

func TestPriorityOfARaisedChild(t *testing.T) {
	t.Parallel()
	own(t)
	w := newWorker(t)
	c, err := w.start(priorityLow)
	testkit.Must(t, err)
	digest, err := w.hashIn(c, job("x")) // a child has lowered its priority before it hashes
	testkit.Must(t, err)
	if !bytes.Equal(digest, job("x").Argon2id(new(argon2.Memory))) {
		t.Error("the digest differs from that of this process")
	}
	if onlyPID(t, w) == c.cmd.Process.Pid { // a busy machine may have raised it
		wantPriority(t, c.cmd.Process.Pid, priorityLow)
	}
}

// If a child hangs, a new child does its job, and the old one is killed.
func TestChildThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorker(t)
	wantHash(t, w, job("first"))
	first := onlyChild(t, w)
	stopChild(t, first.cmd.Process.Pid)
	w.limits.check, w.limits.starved = time.Millisecond, 20*time.Millisecond
	wantHash(t, w, job("second"))
	if onlyChild(t, w) == first {
		t.Errorf("process %d is still in use", first.cmd.Process.Pid)
	}
	<-first.exited
}

// At the highest priority, a child that gets no CPU time is killed, and so is one that
// uses too much.
func TestChildWithoutProgressIsKilled(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]limits{
		"no CPU time":       {check: time.Millisecond, starved: time.Hour, stalled: 50 * time.Millisecond, cpu: time.Hour},
		"too much CPU time": {check: time.Millisecond, starved: time.Hour, stalled: time.Hour, cpu: -time.Hour},
	} {
		w := newWorker(t)
		c, err := w.start(priorityNormal)
		testkit.Must(t, err)
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

// While other processes, in sessions of their own, use all CPUs, passwords are still hashed
// and no hash times out.
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

// startBusyProcesses starts n processes that use all the CPU time they get until the test
// ends. Every second one runs at nice 19.
func startBusyProcesses(t *testing.T, n int) {
	t.Helper()
	executable, err := os.Executable()
	testkit.Must(t, err)
	for i := range n {
		busy := exec.Command(executable, busyPart)
		busy.SysProcAttr = attributes()
		stdin, err := busy.StdinPipe()
		testkit.Must(t, err)
		testkit.Must(t, busy.Start())
		t.Cleanup(func() {
			_ = stdin.Close()
			_ = busy.Process.Kill()
			_ = busy.Wait()
		})
		if i%2 == 1 {
			testkit.Must(t, syscall.Setpriority(syscall.PRIO_PROCESS, busy.Process.Pid, lowestNice))
		}
	}
}

func TestIdleChildEnds(t *testing.T) {
	t.Parallel()
	w := newWorker(t, func(c *Config) { c.Idle = time.Millisecond })
	for range 3 {
		wantHash(t, w, job("x"))
		testkit.Eventually(t, "it has ended", func() bool { return onlyPID(t, w) == 0 })
	}
}

// A parent that is killed leaves no child behind.
func TestKilledParentLeavesNoChild(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	testkit.Must(t, err)
	parent := exec.Command(executable, parentPart)
	stdin, err := parent.StdinPipe()
	testkit.Must(t, err)
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, parent.Start())
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil || pid == 0 || !alive(pid) {
		t.Errorf("the parent started child %d, %v", pid, err)
	}
	testkit.Must(t, parent.Process.Kill())
	_ = parent.Wait()
	// Its new parent may reap it late: a zombie has ended as well.
	testkit.Eventually(t, "the child has ended", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return !alive(pid) || err == nil && strings.Contains(string(stat), ") Z ")
	})
}

// If no child can be started, this process hashes.
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
	testkit.Must(t, w.Close())
	wantHash(t, w, job("closed"))
	testkit.Must(t, w.Close())
}

// FuzzRequests checks that no frame causes a panic, and that accepted requests are bounded.
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

// BenchmarkHash measures one hash at a time, and as many in parallel as there are CPUs.
func BenchmarkHash(b *testing.B) {
	j := auth.HashJob{Params: auth.DefaultArgon2Params(), Input: job("x").Input, Salt: make([]byte, 16), Length: 32}
	b.Run("in process", func(b *testing.B) {
		for b.Loop() {
			_, _ = auth.InProcess{}.Hash(j)
		}
	})
	for _, callers := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("children=%d", callers), func(b *testing.B) {
			w := newWorker(b)
			w.limits.starved = time.Hour // so that no child is replaced, and its CPU time lost
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
			for _, pid := range pids(w) {
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

// peakRSS returns the peak memory of a process in KiB.
func peakRSS(b *testing.B, pid int) (kib int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	testkit.Must(b, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib
}
