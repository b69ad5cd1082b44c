package main

import (
	"context"
	"strconv"
	"sync"

	"github.com/JDevAman/kizo/loadtest/rig"
)

// stubborn is the share of payments for which the bank reports a wrong amount until it is
// healed, so that an operator has to decide them.
const stubborn = 0.01

// bankProcess is the mock bank. Its port and its journal stay the same when it is restarted.
type bankProcess struct {
	system  *system
	address string

	mu      sync.Mutex
	current *rig.Process
	preset  string
}

func openBank(h *system) (*bankProcess, error) {
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	b := &bankProcess{system: h, address: address}
	return b, b.restart("calm")
}

func (b *bankProcess) url() string { return "http://" + b.address }

func (b *bankProcess) journal() string { return b.system.path("bank.jsonl") }

// restart kills the bank and starts it on its journal, with the faults of a preset. An
// empty preset is the current one. The bank sends its callbacks to the balancer.
func (b *bankProcess) restart(preset string) (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current.Kill()
	if preset != "" {
		b.preset = preset
	}
	args := []string{
		"--preset", b.preset, "--seed", strconv.FormatUint(b.system.options.seed, 10),
		"--callback-url", b.system.balancer.url() + "/v1/bank/callbacks",
	}
	if b.preset == "hell" {
		args = append(args, "--stubborn", strconv.FormatFloat(stubborn, 'f', -1, 64))
		if lies := b.system.options.lies; lies >= 0 {
			args = append(args, "--lies", strconv.FormatFloat(lies, 'f', -1, 64))
		}
	}
	b.current, err = rig.StartBank(context.Background(), b.system.binary, b.system.dir, b.address, args...)
	return err
}

func (b *bankProcess) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current.End(endWithin)
}
