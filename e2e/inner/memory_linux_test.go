package inner_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freezeTimeout is how long a process may take to stop.
const freezeTimeout = 5 * time.Second

// kernels are mappings that belong to the kernel and cannot all be read.
var kernels = map[string]bool{"[vvar]": true, "[vvar_vclock]": true, "[vsyscall]": true}

// seekMemory looks for n in the memory of a process and all that it has
// started. Meanwhile the process stands still. It returns how many bytes there
// were.
func seekMemory(t *testing.T, pid int, n needles, f found) (total int) {
	t.Helper()
	if err := freeze(pid); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	family, err := descendants(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range append(family, pid) {
		size, err := seekProcess(member, n, f)
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			t.Skipf("only root can read squid's memory: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		total += size
	}
	return total
}

// freeze stops a process and waits until it stands still.
func freeze(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(freezeTimeout); time.Now().Before(end); <-tick.C {
		if fields, err := stat(pid); err != nil || fields[0] == "T" {
			return err
		}
	}
	return fmt.Errorf("process %d has not stopped after %v", pid, freezeTimeout)
}

// descendants returns the processes that pid has started, and they.
func descendants(pid int) ([]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var all []int
	for _, name := range names {
		child, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			return nil, err
		}
		fields, err := stat(child)
		if err != nil || fields[1] != strconv.Itoa(pid) {
			continue // or it has ended
		}
		more, err := descendants(child)
		if err != nil {
			return nil, err
		}
		all = append(append(all, child), more...)
	}
	return all, nil
}

// stat returns what the kernel says of a process behind its name: its state,
// its parent and more.
func stat(pid int) ([]string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	text := string(content)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return nil, fmt.Errorf("process %d: got %q", pid, text)
	}
	return fields, nil
}

// seekProcess looks for n in all that one process can read.
func seekProcess(pid int, n needles, f found) (total int, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); err != nil {
			return total, fmt.Errorf("process %d: %q: %w", pid, line, err)
		}
		fields := strings.Fields(line)
		if access[0] != 'r' || kernels[fields[len(fields)-1]] {
			continue
		}
		if err := seekRange(mem, int64(from), int64(to), n, f); err != nil {
			return total, fmt.Errorf("process %d: %q: %w", pid, line, err)
		}
		total += int(to - from)
	}
	if total == 0 {
		return 0, fmt.Errorf("process %d has no memory", pid)
	}
	return total, nil
}

// seekRange looks for n from one address to another, a piece at a time, each
// with the end of the one before.
func seekRange(mem *os.File, from, to int64, n needles, f found) error {
	overlap := n.longest()
	buf := make([]byte, overlap+1<<20)
	for kept := 0; from < to; {
		piece := buf[:kept+int(min(int64(len(buf)-kept), to-from))]
		if _, err := mem.ReadAt(piece[kept:], from); err != nil {
			return err
		}
		from += int64(len(piece) - kept)
		n.seek(piece, f)
		kept = copy(buf, piece[max(0, len(piece)-overlap):])
	}
	return nil
}
