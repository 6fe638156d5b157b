package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of times in /proc, the same on all platforms that Go knows.
const tick = time.Second / 100

// canIdle tells whether idle servers can be measured here.
const canIdle = true

// descriptors returns how many files a process may have open. Go has raised
// that to the hard limit when the process began.
func descriptors() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return int(min(limit.Cur, 1<<30)), nil
}

// usage returns the memory in RAM, in bytes, and the processor time of a
// process.
func usage(pid int) (resident float64, cpu time.Duration, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
	var kB int64
	if _, err := fmt.Sscan(string(rest), &kB); err != nil {
		return 0, 0, fmt.Errorf("%s/status: VmRSS: %w", dir, err)
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The second field, a name in parentheses, may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, 0, fmt.Errorf("%s/stat: too short", dir)
	}
	for _, f := range [][]byte{fields[user], fields[system]} {
		ticks, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("%s/stat: %w", dir, err)
		}
		cpu += time.Duration(ticks) * tick
	}
	return float64(kB) * 1024, cpu, nil
}
