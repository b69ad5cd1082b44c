package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
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
	stop, err := b.startBusy(busyPerCPU*runtime.NumCPU()/2, useCPU, useCPUNice19)
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
		took := time.Since(sent)
		switch t.note(outcome, took, took, err); {
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
	c := connect(address, net.IPv4(127, 10, 0, 1), "/v1/auth/signup")
	number := 0
	return func() (outcome, error) {
		number++
		c.body = fmt.Appendf(c.body[:0], `{"email":"busy%d@example.com","handle":"busy_%d","name":"Busy","password":"a dozen a CPU, no. %d"}`, number, number, number)
		return c.send(fasthttp.StatusCreated, []byte("access_token"))
	}
}

// Shell scripts that use one CPU until they are ended: at normal priority, at nice 19, and
// at the priority of password hashing. The last one sets the nice value of its session as
// well (sched_autogroup).
const (
	useCPU       = `while :; do :; done`
	useCPUNice19 = `exec nice -n 19 sh -c '` + useCPU + `'`
	useCPUIdle   = `echo 19 > /proc/self/autogroup; exec chrt --idle 0 nice -n 19 sh -c '` + useCPU + `'`
)

// startBusy starts n processes of each script, each in a session, and so a scheduling
// group, of its own.
func (b *bench) startBusy(n int, scripts ...string) (stop func(), err error) {
	var started []*rig.Process
	stop = func() {
		for _, p := range started {
			p.End(time.Second)
		}
	}
	for i := range n * len(scripts) {
		p, err := rig.SpawnSession("sh", []string{"-c", scripts[i%len(scripts)]}, os.Environ(), b.rig.Path("busy.log"))
		if err != nil {
			stop()
			return nil, err
		}
		started = append(started, p)
	}
	return stop, nil
}
