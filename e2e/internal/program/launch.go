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

// launch starts cmd, sees that it ends with the test, and waits until it takes
// connections at addr.
func launch(t *testing.T, cmd *exec.Cmd, addr string) {
	t.Helper()
	dir, name := cmd.Dir, filepath.Base(cmd.Path)
	// No pipe: helpers of squid hold it open. To be appended to: squid opens
	// it a second time, by its name.
	out, err := os.OpenFile(filepath.Join(dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	done := make(chan struct{})
	var ended error // once done is closed
	go func() {
		ended = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		stop(t, cmd, done)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, tail(out.Name()))
		}
	})
	for end := time.Now().Add(startTimeout); ; {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-done:
			t.Fatalf("%s ended (%v) before it took connections:\n%s", name, ended, tail(out.Name()))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s takes no connections after %v:\n%s", name, startTimeout, tail(out.Name()))
		}
	}
}

// stop ends a process by its id.
func stop(t *testing.T, cmd *exec.Cmd, done <-chan struct{}) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Kill} {
		if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("sending %v: %v", signal, err)
		}
		select {
		case <-done:
			return
		case <-time.After(stopTimeout):
		}
	}
	t.Errorf("%s does not end", cmd.Path)
}

// tail returns the last lines of a file.
func tail(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
