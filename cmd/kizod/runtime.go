package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	heapGrowth  = 400       // per cent, between two collections
	memoryLimit = 512 << 20 // bytes, of all that Go manages; softly

	threadsEach = 4  // for each processor, up to
	threadsMost = 16 // in all, or as many as there are processors
)

// tuneRuntime is for the daemon proper; what it does was measured in
// docs/performance.md. $GOGC, $GOMEMLIMIT and $GOMAXPROCS decide where they are set.
//
// The heap is small, so that collecting it as often as Go does by itself costs a
// quarter of the processor's time under load. The limit makes collections more
// frequent where the heap is not small.
//
// On few processors the goroutine that commits waits behind every request that has
// become runnable before it, since Go has no priorities and looks at the network
// when nothing else is left to do. More threads than processors leave that choice
// to the kernel, which favours whoever has slept.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		n := runtime.GOMAXPROCS(0)
		runtime.GOMAXPROCS(max(n, min(threadsEach*n, threadsMost)))
	}
}
