package embedded

import "fmt"

// Bounds of sharedBuffers, in MB.
const (
	minBuffers = 128 // PostgreSQL's default
	maxBuffers = 1024
)

// sharedBuffers returns the size of PostgreSQL's cache: a quarter of the memory, within bounds. A
// transfer reads about twelve pages of indexes, and twelve more for each further account. When
// these no longer fit, each transfer must read pages from disk, and write others to make space.
// PostgreSQL uses the memory only as pages are read.
func sharedBuffers() string {
	quarter := memory() >> 20 / 4
	return fmt.Sprintf("%dMB", min(max(quarter, minBuffers), maxBuffers))
}
