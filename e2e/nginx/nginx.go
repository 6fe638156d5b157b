// Package nginx runs a real nginx in front of a test's server: TLS to the
// client, HTTP/1.1 in the clear to the server. It is a child process of the
// test, on a free port, with a configuration and a directory of its own.
package nginx

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 10 * time.Second // until nginx takes connections
	quitTimeout  = 5 * time.Second  // until its last connection has ended
)

// Server is a running nginx.
type Server struct {
	Addr string // host:port, TLS
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has ended, after err is set
	err  error         // how it ended
	once sync.Once     // of end
}

// Start starts nginx, waits until it takes connections, and stops it when the
// test ends. It fails the test if nginx is not installed or does not start.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	path, err := find()
	if err != nil {
		t.Fatalf("got %v, want nginx on this machine: `make e2e` installs it", err)
	}
	s := &Server{Addr: cfg.Addr, dir: t.TempDir(), done: make(chan struct{})}
	if s.Addr == "" {
		s.Addr = freeAddr(t)
	}
	cfg.write(t, s.dir, s.Addr)
	s.cmd = exec.Command(path, "-p", s.dir, "-c", filepath.Join(s.dir, "nginx.conf"), "-e", "error.log")
	s.cmd.SysProcAttr = childAttr()
	s.cmd.Stdout, s.cmd.Stderr = t.Output(), t.Output()
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting nginx: %v", err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("nginx's error log:\n%s", s.read(t, "error.log"))
		}
	})
	s.waitReady(t)
	return s
}

// Stop lets nginx end: it waits until its last connection is closed, so that
// its logs are complete. Connections that stay open fail the test. A second
// call does nothing.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(t, syscall.SIGQUIT, syscall.SIGTERM, os.Kill)
}

// Cut ends nginx at once, with every connection that is open, as a rollout or a
// crash would. Its access log lacks those.
func (s *Server) Cut(t testing.TB) {
	t.Helper()
	s.end(t, syscall.SIGTERM, os.Kill)
}

// end sends the signals, one after the other, until nginx has ended, which the
// first is expected to do.
func (s *Server) end(t testing.TB, signals ...os.Signal) {
	t.Helper()
	s.once.Do(func() {
		for _, signal := range signals {
			if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("sending nginx %v: %v", signal, err)
			}
			timeout := time.NewTimer(quitTimeout)
			defer timeout.Stop()
			select {
			case <-s.done:
				if s.err != nil {
					t.Errorf("got %v from nginx, want exit status 0", s.err)
				}
				return
			case <-timeout.C:
				t.Errorf("nginx still runs %v after signal %v, want it ended and no connection left open", quitTimeout, signal)
			}
		}
	})
}

// waitReady returns once nginx takes connections, and fails the test if it
// ends, or does not within startTimeout.
func (s *Server) waitReady(t testing.TB) {
	t.Helper()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	next := time.NewTicker(5 * time.Millisecond)
	defer next.Stop()
	for {
		c, err := net.DialTimeout("tcp", s.Addr, startTimeout)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-next.C:
		case <-s.done:
			t.Fatalf("nginx ended (%v) before it took connections, want it running", s.err)
		case <-deadline.C:
			t.Fatalf("got %v after %v, want nginx to take connections", err, startTimeout)
		}
	}
}

// read returns the content of a file that nginx wrote.
func (s *Server) read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Errorf("reading nginx's files: %v", err)
	}
	return strings.TrimSpace(string(content))
}

// find returns the path of nginx, which Debian puts where only root's PATH
// leads.
func find() (string, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		if sbin, sbinErr := exec.LookPath("/usr/sbin/nginx"); sbinErr == nil {
			return sbin, nil
		}
	}
	return path, err
}

// freeAddr returns an address that was free a moment ago. Should somebody take
// it before nginx does, nginx says so in its error log and ends.
func freeAddr(t testing.TB) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	if err := lis.Close(); err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	return lis.Addr().String()
}
