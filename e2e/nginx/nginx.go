// Package nginx runs a real nginx in front of a test's server: TLS to the
// client, HTTP/1.1 in the clear to the server. It is a child process of the
// test, on a free port, with a configuration and a directory of its own.
package nginx

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"culvert/e2e/internal/program"
)

// Server is a running nginx.
type Server struct {
	Addr    string // host:port, TLS
	process *program.Process
	once    sync.Once // of end
}

// Start starts nginx, waits until it takes connections, and stops it when the
// test ends. It fails the test if nginx is not installed or does not start.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	s := &Server{Addr: cfg.Addr}
	if s.Addr == "" {
		s.Addr = program.FreeAddr(t)
	}
	dir := t.TempDir()
	cfg.write(t, dir, s.Addr)
	s.process = program.Launch(t, program.Command{
		Name: "nginx", Install: "nginx-light",
		Args: []string{"-p", dir, "-c", "nginx.conf", "-e", "error.log"},
		Dir:  dir, Addr: s.Addr,
	})
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("nginx's error log:\n%s", s.process.Read(t, "error.log"))
		}
	})
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
		if err := s.process.End(t, signals...); err != nil {
			t.Errorf("got %v from nginx, want exit status 0", err)
		}
	})
}

// read returns the content of a file that nginx wrote.
func (s *Server) read(t testing.TB, name string) string {
	t.Helper()
	return strings.TrimSpace(s.process.Read(t, name))
}
