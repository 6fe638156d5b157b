package matrix_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

const (
	startTimeout = 15 * time.Second // until a program takes connections
	stopTimeout  = 5 * time.Second  // until it ends by itself
)

// program is one to be run in front of the origin.
type program struct {
	command string   // found where Debian puts it
	install string   // its package
	args    []string // templates, as the files are
	files   map[string]string
	prepare []string // a command to be run before; may be nil
}

// start runs p with a port of its own and returns host:port. What the templates
// use are its fields and those of values.
func (p program) start(t *testing.T, values map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "matrix") // not t.TempDir, which other users cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	v := map[string]string{"Dir": dir, "Addr": addr, "Port": port}
	for key, value := range values {
		v[key] = value
	}
	for name, content := range p.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fill(t, content, v)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if p.prepare != nil {
		p.run(t, v)
	}
	open(t, dir)
	p.launch(t, dir, addr, v)
	return addr
}

// open lets every user into dir: squid does not run as root.
func open(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o777))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs the command that prepares p.
func (p program) run(t *testing.T, v map[string]string) {
	t.Helper()
	var args []string
	for _, a := range p.prepare {
		args = append(args, fill(t, a, v))
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", args[0], err, out)
	}
}

// launch starts the process and sees that it ends with the test.
func (p program) launch(t *testing.T, dir, addr string, v map[string]string) {
	t.Helper()
	var args []string
	for _, a := range p.args {
		args = append(args, fill(t, a, v))
	}
	out, err := os.Create(filepath.Join(dir, "output")) // no pipe: helpers of squid hold it open
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(find(t, p.command, p.install), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.command, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		stop(t, cmd, done)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", p.command, tail(out.Name()))
		}
	})
	for end := time.Now().Add(startTimeout); ; {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case err := <-done:
			done <- err
			t.Fatalf("%s ended (%v) before it took connections:\n%s", p.command, err, tail(out.Name()))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s takes no connections after %v:\n%s", p.command, startTimeout, tail(out.Name()))
		}
	}
}

// stop ends a process by its id.
func stop(t *testing.T, cmd *exec.Cmd, done <-chan error) {
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

// find returns the path of a command, which Debian may keep where only root
// looks.
func find(t *testing.T, command, install string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, command)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing; `make e2e` installs it (package %s)", command, install)
	return ""
}

// fill fills in a template.
func fill(t *testing.T, text string, v map[string]string) string {
	t.Helper()
	var b strings.Builder
	tmpl, err := template.New("").Option("missingkey=error").Parse(text)
	if err == nil {
		err = tmpl.Execute(&b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// freeAddr returns a port that is free at the moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
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
