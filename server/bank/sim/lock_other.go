//go:build !unix

package sim

import "os"

// lockFile does nothing on systems without flock: the operator must not run two banks on one
// journal.
func lockFile(*os.File) error { return nil }

func syncDir(string) error { return nil }
