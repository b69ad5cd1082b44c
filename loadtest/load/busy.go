package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/JDevAman/kizo/loadtest/rig"
)

const (
	busyPerCPU  = 12
	busySignUps = 20
	busyLongest = 5 * time.Second // that a sign-up may take
)

// busy signs users up, one after the other, beside processes that use all the CPU time
// they get: a dozen for each CPU, every second one at nice 19, each in a session and so
// in a scheduling group of its own.
func busy(ctx context.Context, b *bench) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i := range busyPerCPU * runtime.NumCPU() {
		argument := []string{busyNormal, busyNice}[i%2]
		p, err := rig.SpawnSession(self, []string{argument}, nil, b.rig.Path("busy.log"))
		if err != nil {
			return err
		}
		defer p.End(time.Second)
	}
	signUp := signUps(b.address())
	var slowest time.Duration
	for i := range busySignUps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		began := time.Now()
		switch outcome, err := signUp(); {
		case outcome == shed:
			return fmt.Errorf("sign-up %d of %d was refused: the server is too busy", i+1, busySignUps)
		case outcome != accepted:
			return fmt.Errorf("sign-up %d of %d: %w", i+1, busySignUps, err)
		}
		took := time.Since(began)
		slowest = max(slowest, took)
		fmt.Fprintf(b.out, "sign-up %2d: %s\n", i+1, took.Round(time.Millisecond))
	}
	fmt.Fprintf(b.out, "all %d sign-ups succeeded beside %d busy processes a CPU; the slowest took %s\n", busySignUps, busyPerCPU, slowest.Round(time.Millisecond))
	if slowest > busyLongest {
		return fmt.Errorf("the slowest sign-up took %s, more than %s", slowest.Round(time.Millisecond), busyLongest)
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

// The arguments that make this program a busy process.
const (
	busyNormal = "busy"
	busyNice   = "busy-nice"
)

// beBusy uses a CPU until it is ended; it ends with its parent, and when no run can be
// as long.
func beBusy(argument string) {
	if argument == busyNice {
		const lowestNice = 19
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, lowestNice)
	}
	runtime.GOMAXPROCS(1)
	for end := time.Now().Add(longest); time.Now().Before(end); {
		continue
	}
	os.Exit(0)
}
