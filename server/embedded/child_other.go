//go:build !linux

package embedded

import "syscall"

// Only Linux has a signal for the parent's death. Elsewhere the child stays,
// and the next start on its directory stops it.
func processAttributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{}
}
