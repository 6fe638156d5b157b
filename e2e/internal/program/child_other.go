//go:build !linux

package program

import "syscall"

// childAttr has nothing to say outside Linux.
func childAttr() *syscall.SysProcAttr { return nil }
