package embedded

import "fmt"

// Bounds of sharedBuffers, in MB.
const (
	leastBuffers = 128 // PostgreSQL's own default
	mostBuffers  = 1024
)

// sharedBuffers is the size of PostgreSQL's cache: a quarter of the memory there is,
// within bounds. A transfer touches a dozen pages of indexes, and another dozen for
// each other account; once those no longer fit, each transfer reads some and has to
// write others first. Memory is only taken as pages come to be used.
func sharedBuffers() string {
	quarter := memory() >> 20 / 4
	return fmt.Sprintf("%dMB", min(max(quarter, leastBuffers), mostBuffers))
}
