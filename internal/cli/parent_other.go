//go:build !linux

package cli

import "syscall"

// withParent keeps a terminal's signals from a process; nothing but Linux ends it with its parent.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
