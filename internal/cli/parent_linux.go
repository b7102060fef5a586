package cli

import "syscall"

// withParent has the kernel end a process when the thread that started it ends.
func withParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
