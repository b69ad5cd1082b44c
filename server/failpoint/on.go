//go:build failpoints

package failpoint

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled reports whether this build reads KIZO_FAILPOINTS.
const Enabled = true

// Point is a failpoint with that name. The caller handles its error as an error of the step that
// follows.
func Point(name string) error {
	p := plan()
	p.hit(name)
	rule, ok := p.rules[name]
	if !ok {
		rule, ok = p.rules["*"]
	}
	if !ok || !p.happens(rule.share) {
		return nil
	}
	switch rule.action {
	case "kill":
		// Like kill -9: no deferred call runs and nothing is flushed.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		if p.stopped.Swap(true) {
			return nil // the process stops only once
		}
		// Like a machine that is suspended: all goroutines stop, while leases and timeouts run on.
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(stopDelay) // the kernel may stop this thread later than the others
		return nil
	case "stall":
		time.Sleep(rule.stall)
		return nil
	default:
		return fmt.Errorf("fault injected at %s", name)
	}
}

const stopDelay = 100 * time.Millisecond

type rule struct {
	action string
	stall  time.Duration
	share  float64
}

type failPlan struct {
	stopped atomic.Bool
	rules   map[string]rule
	hits    string
	mu      sync.Mutex // guards random and seen
	random  *rand.Rand
	seen    map[string]bool
}

// plan is read from the environment once. It panics if the environment is invalid, since a test run
// without its faults would prove nothing.
var plan = sync.OnceValue(func() *failPlan {
	seed, _ := strconv.ParseUint(os.Getenv("KIZO_FAILPOINTS_SEED"), 10, 64)
	p := &failPlan{
		rules: make(map[string]rule), seen: make(map[string]bool),
		hits: os.Getenv("KIZO_FAILPOINTS_HIT"), random: rand.New(rand.NewPCG(seed, uint64(os.Getpid()))),
	}
	for text := range strings.SplitSeq(os.Getenv("KIZO_FAILPOINTS"), ";") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		name, r, err := parseRule(text)
		if err != nil {
			panic(err)
		}
		p.rules[name] = r
	}
	return p
})

func parseRule(text string) (name string, r rule, err error) {
	name, what, ok := strings.Cut(text, "=")
	action, share, shared := strings.Cut(what, "@")
	r.share = 1
	if shared {
		r.share, err = strconv.ParseFloat(share, 64)
	}
	action, stall, stalls := strings.Cut(action, ":")
	if stalls && err == nil {
		r.stall, err = time.ParseDuration(stall)
	}
	r.action = action
	known := slices.Contains([]string{"kill", "fail", "stop", "stall"}, action)
	if !ok || !known || stalls != (action == "stall") || err != nil {
		return "", rule{}, fmt.Errorf("KIZO_FAILPOINTS: cannot read %q", text)
	}
	return name, r, nil
}

func (p *failPlan) happens(share float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Float64() < share
}

func (p *failPlan) hit(name string) {
	if p.hits == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.seen[name] {
		p.seen[name] = true
		_ = os.WriteFile(filepath.Join(p.hits, name), nil, 0o600)
	}
}
