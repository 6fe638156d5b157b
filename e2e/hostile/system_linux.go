package main

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

// childAttr puts a child into a process group of its own, for its priority.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// lower gives all threads of the process group of pid the lowest priority. On
// Linux a thread has a priority of its own, which threads that it starts get.
func lower(pid int) error {
	return syscall.Setpriority(syscall.PRIO_PGRP, pid, 19)
}

// resident returns how much of this process is in memory, in bytes.
func resident() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, pages int64
	if _, err := fmt.Fscan(bytes.NewReader(b), &size, &pages); err != nil {
		return 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// descriptors returns how many files this process has open.
func descriptors() (int, error) {
	const all = "/proc/self/fd"
	i, err := os.Stat(all)
	if err != nil {
		return 0, err
	}
	if n := i.Size(); n > 0 { // since Linux 6.2
		return int(n), nil
	}
	names, err := os.ReadDir(all)
	return len(names), err
}

// processor returns how much processor time this process has used.
func processor() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
