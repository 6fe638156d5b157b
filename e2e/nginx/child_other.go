//go:build !linux

package nginx

import "syscall"

// childAttr has nothing to say outside Linux.
func childAttr() *syscall.SysProcAttr { return nil }
