//go:build !failpoints

package failpoint

// Enabled reports whether this build reads KIZO_FAILPOINTS.
const Enabled = false

// Point is a failpoint with that name. The caller handles its error as an error of the step that
// follows.
func Point(string) error { return nil }
