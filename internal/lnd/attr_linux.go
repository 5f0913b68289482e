package lnd

import "syscall"

// childAttr puts the child into a process group of its own, so that a Ctrl-C
// in the terminal reaches only us, and has the kernel end it in order when we
// die, whatever kills us.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
