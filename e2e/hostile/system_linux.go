package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What follows sets the scheduling policy of a process, see sched(7). On a machine
// with few processors this program, the server and the attackers wait for each
// other, as they would not if each had a machine of its own. A lower priority
// alone would not do: whoever is at work is not preempted for a few milliseconds.

// lower has a process run when nobody else wants to.
func lower(pid int) error { return schedule(pid, unix.SchedAttr{Policy: unix.SCHED_IDLE}) }

// raise has a process run whenever it wants to.
func raise(pid int) error { return schedule(pid, unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}) }

// usual has a process run as others do, whatever it has inherited.
func usual(pid int) error { return schedule(pid, unix.SchedAttr{Policy: unix.SCHED_NORMAL}) }

// schedule sets the policy of all threads of a process. Threads that are started
// later get it from those that start them.
func schedule(pid int, attr unix.SchedAttr) error {
	attr.Size = unix.SizeofSchedAttr
	dir := fmt.Sprintf("/proc/%d/task", pid)
	for done := map[string]bool{}; ; {
		tasks, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		before := len(done)
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return fmt.Errorf("%s: %w", dir, err)
			}
			if err := unix.SchedSetAttr(id, &attr, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("scheduling policy %d of process %d: %w", attr.Policy, pid, err)
			}
			done[task.Name()] = true
		}
		if len(done) == before {
			return nil
		}
	}
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
