package main

import (
	"os"
	"runtime/debug"
)

const (
	heapGrowth  = 400       // per cent, between two collections
	memoryLimit = 512 << 20 // bytes, of all that Go manages; softly
)

// tuneRuntime is for the daemon proper; what it does was measured in
// docs/performance.md. $GOGC and $GOMEMLIMIT decide where they are set.
//
// The heap is small, so that collecting it as often as Go does by itself costs a
// quarter of the processor's time under load. The limit makes collections more
// frequent where the heap is not small.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
