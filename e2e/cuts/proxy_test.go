package cuts_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"culvert/e2e/cert"
)

const (
	startTimeout = 15 * time.Second // until a proxy takes connections
	stopTimeout  = 5 * time.Second  // until it ends by itself
)

// program is a proxy to be run: TLS in front, HTTP/1.1 behind.
type program struct {
	command string // found where Debian puts it
	install string // its package
	args    []string
	config  string // template of the file "config"; its fields are those of settings
	log     string // the file in which it tells of requests
}

// settings are what a configuration is filled with.
type settings struct {
	Addr, Backend string
	Timeout       string // after which an idle WebSocket is cut
	Root          bool
}

// proxy is a program that runs, or ran.
type proxy struct {
	program
	settings
	pair *cert.Pair // what it presents
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has ended
}

// start runs p on a port of its own in front of backend until the test ends.
func (p program) start(t *testing.T, backend, timeout string) *proxy {
	t.Helper()
	r := &proxy{program: p, pair: cert.New(t), dir: t.TempDir(), settings: settings{
		Addr: freeAddr(t), Backend: backend, Timeout: timeout, Root: os.Geteuid() == 0,
	}}
	certFile, keyFile := r.pair.Write(t, r.dir)
	var both []byte // haproxy wants them in one file
	for _, name := range []string{certFile, keyFile} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, content...)
	}
	var config strings.Builder
	if err := template.Must(template.New("").Parse(p.config)).Execute(&config, r.settings); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"both.pem": both, "config": []byte(config.String())} {
		if err := os.WriteFile(filepath.Join(r.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", p.command, tail(r.read(t, p.log)))
		}
	})
	r.launch(t)
	return r
}

// launch starts the process and waits until it takes connections.
func (r *proxy) launch(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(filepath.Join(r.dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd, done := exec.Command(find(t, r.command, r.install), r.args...), make(chan struct{})
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = r.dir, out, out, childAttr()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", r.command, err)
	}
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	r.cmd, r.done = cmd, done
	eventually(t, r.command+" to take connections", func() bool {
		select {
		case <-done:
			t.Fatalf("%s ended before it took connections:\n%s", r.command, tail(r.read(t, r.log)))
		default:
		}
		c, err := net.DialTimeout("tcp", r.Addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// signal sends a signal to the process that was started.
func (r *proxy) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("sending %s %v: %v", r.command, signal, err)
	}
}

// stop ends the process at once, with every connection that is open.
func (r *proxy) stop(t *testing.T) {
	t.Helper()
	if r.cmd == nil {
		return
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Kill} {
		r.signal(t, signal)
		select {
		case <-r.done:
			return
		case <-time.After(stopTimeout):
			t.Errorf("%s still runs %v after signal %v", r.command, stopTimeout, signal)
		}
	}
}

// count returns how many lines of a file contain all the words.
func (r *proxy) count(t *testing.T, name string, words ...string) int {
	t.Helper()
	n := 0
lines:
	for line := range strings.Lines(r.read(t, name)) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		n++
	}
	return n
}

// read returns the content of a file that the program wrote.
func (r *proxy) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Error(err)
	}
	return string(content)
}
