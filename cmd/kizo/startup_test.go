package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkStartUp measures what a command costs before and after it does its work: the CPU time
// of the process, with a server on this computer that answers at once.
//
//	go test ./cmd/kizo -run '^$' -bench StartUp -benchtime 20x
func BenchmarkStartUp(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "kizo")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	address := newFakeServer(b).URL
	state := b.TempDir()
	for name, args := range map[string][]string{
		"version":  {"--version"},
		"help":     {"--help"},
		"balance":  {"balance"},
		"complete": {"__complete", "transfer", "@"},
	} {
		b.Run(name, func(b *testing.B) {
			var used time.Duration
			for b.Loop() {
				command := exec.CommandContext(b.Context(), binary, args...)
				command.Env = append(os.Environ(), "KIZO_SERVER="+address, "KIZO_TOKEN=token", "XDG_STATE_HOME="+state, "XDG_CONFIG_HOME="+state)
				if out, err := command.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				used += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
			}
			b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}
