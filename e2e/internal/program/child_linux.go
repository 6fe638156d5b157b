package program

import "syscall"

// childAttr makes a program end with the test, also where no cleanup runs because
// the test ran into its timeout.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
