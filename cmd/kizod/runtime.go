package main

import (
	"os"
	"runtime/debug"
)

const (
	heapGrowth  = 400       // percent, between two collections
	memoryLimit = 512 << 20 // bytes of memory that Go manages; a soft limit
)

// tuneRuntime sets the garbage collector for a server, unless $GOGC or $GOMEMLIMIT is set.
// docs/performance.md has the measurements.
//
// The heap is small: with Go's default, collections take a quarter of the CPU time under load. The
// memory limit makes collections more frequent if the heap grows.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
