package main

import (
	"os"
	"runtime/debug"
)

const (
	heapGrowth  = 400       // per cent, between two collections
	memoryLimit = 512 << 20 // bytes, of all that Go manages; softly
)

// tuneCollector lets the heap grow further between collections than Go does by
// itself: it is small, and collecting it more often costs a quarter of the
// processor's time under load (docs/performance.md). The limit makes collections
// more frequent where the heap is not small. $GOGC and $GOMEMLIMIT decide where
// they are set.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
