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

// Enabled tells whether this build obeys KIZO_FAILPOINTS at all.
const Enabled = true

// Point marks a step; its error, if any, is to be treated as that step's own.
func Point(name string) error {
	p := plan()
	p.hit(name)
	rule, ok := p.rules[name]
	if !ok {
		rule, ok = p.rules["*"]
	}
	if !ok || !p.throw(rule.share) {
		return nil
	}
	switch rule.action {
	case "kill":
		// Like kill -9: no deferred call, no flush, no goodbye.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		if p.stopped.Swap(true) {
			return nil // once is what it takes; then it is to go on
		}
		// As a machine that stands still: all goroutines, leases and timeouts with it.
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(stopTakes) // the kernel stops the other threads first: nobody goes on from here before it has
		return nil
	case "stall":
		time.Sleep(rule.stall)
		return nil
	default:
		return fmt.Errorf("fault injected at %s", name)
	}
}

const stopTakes = 100 * time.Millisecond

type rule struct {
	action string
	stall  time.Duration
	share  float64
}

type plans struct {
	stopped atomic.Bool
	rules   map[string]rule
	hits    string
	mu      sync.Mutex // guards dice and seen
	dice    *rand.Rand
	seen    map[string]bool
}

// plan is read from the environment once; a plan that cannot be read is no plan
// to go on with.
var plan = sync.OnceValue(func() *plans {
	seed, _ := strconv.ParseUint(os.Getenv("KIZO_FAILPOINTS_SEED"), 10, 64)
	p := &plans{
		rules: make(map[string]rule), seen: make(map[string]bool),
		hits: os.Getenv("KIZO_FAILPOINTS_HIT"), dice: rand.New(rand.NewPCG(seed, uint64(os.Getpid()))),
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

func (p *plans) throw(share float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dice.Float64() < share
}

func (p *plans) hit(name string) {
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
