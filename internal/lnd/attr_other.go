//go:build !linux

package lnd

import "syscall"

// childAttr puts the child into a process group of its own. Only the lifeline
// tells it here that we died.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
