//go:build !linux

package embedded

import "syscall"

// Only Linux sends a signal when the parent dies. On other systems the child keeps running, and the
// next start on its directory stops it.
func processAttributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{}
}
