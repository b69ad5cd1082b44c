package embedded

import "syscall"

func processAttributes(onParentDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: onParentDeath}
}
