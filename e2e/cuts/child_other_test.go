//go:build !linux

package cuts_test

import "syscall"

// childAttr has nothing to say outside Linux.
func childAttr() *syscall.SysProcAttr { return nil }
