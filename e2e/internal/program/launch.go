package program

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 15 * time.Second // until a program takes connections
	stopTimeout  = 5 * time.Second  // until it ends by itself
)

// Command is how a program is run whose files are there already.
type Command struct {
	Name    string // found where Debian puts it
	Install string // its package
	Args    []string
	Dir     string // where it runs
	Addr    string // host:port on which it takes connections
}

// Process is a program that runs, or ran.
type Process struct {
	Addr string // host:port on which it takes connections
	Dir  string // has its files, and in "output" what it wrote
	PID  int

	name  string
	cmd   *exec.Cmd
	done  chan struct{} // closed once it has ended
	ended error         // how, once done is closed
}

// Launch runs c until the test ends, at the latest. It returns once the program
// takes connections, and fails the test if it does not.
func Launch(t testing.TB, c Command) *Process {
	t.Helper()
	// No pipe: helpers of squid hold it open. To be appended to: squid opens
	// it a second time, by its name.
	out, err := os.OpenFile(filepath.Join(c.Dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(find(t, c.Name, c.Install), c.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.Dir, out, out, childAttr()
	cmd.Env = append(os.Environ(), "HOME="+c.Dir, "XDG_DATA_HOME="+c.Dir, "XDG_CONFIG_HOME="+c.Dir)
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	p := &Process{Addr: c.Addr, Dir: c.Dir, PID: cmd.Process.Pid, name: c.Name, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.ended = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", c.Name, Tail(p.Read(t, "output")))
		}
	})
	p.await(t)
	return p
}

// await waits until the program takes connections.
func (p *Process) await(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(startTimeout); ; {
		c, err := net.DialTimeout("tcp", p.Addr, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended (%v) before it took connections:\n%s", p.name, p.ended, Tail(p.Read(t, "output")))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s takes no connections after %v:\n%s", p.name, startTimeout, Tail(p.Read(t, "output")))
		}
	}
}

// Signal sends a signal, to the process alone. One that has ended is no error.
func (p *Process) Signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("sending %s %v: %v", p.name, signal, err)
	}
}

// Stop ends the process, with every connection that is open. A second call does
// nothing.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	_ = p.End(t, syscall.SIGTERM, os.Kill)
}

// End sends the signals, one after the other, until the process has ended, and
// returns how it did. The first is expected to end it: the test fails if another
// one is needed.
func (p *Process) End(t testing.TB, signals ...os.Signal) error {
	t.Helper()
	for _, signal := range signals {
		p.Signal(t, signal)
		select {
		case <-p.done:
			return p.ended
		case <-time.After(stopTimeout):
			t.Errorf("%s still runs %v after signal %v", p.name, stopTimeout, signal)
		}
	}
	return errors.New("it does not end")
}

// Read returns the content of a file in the program's directory.
func (p *Process) Read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, name))
	if err != nil {
		t.Errorf("a file of %s: %v", p.name, err)
	}
	return string(b)
}

// Tail returns the last lines of a text.
func Tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// find returns the path of a command, which Debian may keep where only root
// looks.
func find(t testing.TB, command, install string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, command)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing; `make e2e` installs it (package %s)", command, install)
	return ""
}
