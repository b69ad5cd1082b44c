package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const (
	busyPerCPU    = 12
	busySignUps   = 20
	maxBusySignUp = 5 * time.Second
)

// busy signs users up, one after the other, beside processes that use all the CPU time
// they get: a dozen per CPU, every second one at nice 19.
func busy(ctx context.Context, b *bench) error {
	stop, err := b.startBusy(busyPerCPU*runtime.NumCPU()/2, "", nice19)
	if err != nil {
		return err
	}
	defer stop()
	signUp := signUps(b.address())
	t := &tally{}
	began := time.Now()
	for i := range busySignUps {
		sent := time.Now()
		outcome, err := signUp()
		switch t.note(outcome, time.Since(sent), err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case outcome != accepted:
			return fmt.Errorf("sign-up %d of %d was not accepted (503 or 429: the server is too busy): %w", i+1, busySignUps, err)
		}
		b.logf("sign-up %2d: %s", i+1, time.Since(sent).Round(time.Millisecond))
	}
	t.elapsed = time.Since(began)
	slices.Sort(t.took)
	if _, err := b.add(ctx, newPhase("beside busy processes", "sign-up", t), t); err != nil {
		return err
	}
	slowest := t.took[len(t.took)-1]
	b.report.check("slowest sign-up, s", slowest.Seconds(), "≤", maxBusySignUp.Seconds())
	if slowest > maxBusySignUp {
		return fmt.Errorf("the slowest sign-up took %s, more than %s", slowest.Round(time.Millisecond), maxBusySignUp)
	}
	return nil
}

// signUps makes a new user with each call.
func signUps(address string) caller {
	c := connect(address, net.IPv4(127, 10, 0, 1))
	c.post("http://" + address + "/v1/auth/signup")
	number := 0
	return func() (outcome, error) {
		number++
		c.body = fmt.Appendf(c.body[:0], `{"email":"busy%d@example.com","handle":"busy_%d","name":"Busy","password":"a dozen a CPU, no. %d"}`, number, number, number)
		return c.send(fasthttp.StatusCreated, []byte("access_token"))
	}
}

// Arguments that make this program a process that only uses CPU time.
const (
	useCPU         = "use-cpu"
	nice19         = "nice-19"
	lowestPriority = "lowest-priority" // as password hashing
)

// startBusy starts n processes of each priority that use all the CPU time they get, each
// in a session, and so a scheduling group, of its own.
func (b *bench) startBusy(n int, priorities ...string) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var started []*rig.Process
	stop = func() {
		for _, p := range started {
			p.End(time.Second)
		}
	}
	for i := range n * len(priorities) {
		p, err := rig.SpawnSession(self, []string{useCPU, priorities[i%len(priorities)]}, nil, b.rig.Path("busy.log"))
		if err != nil {
			stop()
			return nil, err
		}
		started = append(started, p)
	}
	return stop, nil
}

// useAllCPUTime uses one CPU until the process is ended: with its parent at the latest,
// or after the longest run.
func useAllCPUTime(priority string) {
	switch priority {
	case nice19:
		const lowestNice = 19
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, lowestNice)
	case lowestPriority:
		rig.LowestPriority()
	}
	runtime.GOMAXPROCS(1)
	for end := time.Now().Add(defaultTimeout); time.Now().Before(end); {
		continue
	}
	os.Exit(0)
}
