// Package program runs a real program, such as a proxy, for as long as a test
// does: a child process with a port, a directory and files of its own.
package program

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// Program is one to be run. Args, Files and Prepare are templates, which may
// use Dir, Addr, Port and the values that Start is given.
type Program struct {
	Command string // found where Debian puts it
	Install string // its package
	Args    []string
	Files   map[string]string // written into Dir before, by name
	Prepare []string          // a command to be run before; may be nil
}

// Process is a program that runs.
type Process struct {
	Addr string // host:port on which it takes connections
	Dir  string // has its files, and in "output" what it wrote
	PID  int
}

// Start runs p until the test ends. It returns once p takes connections, and
// fails the test if it does not.
func (p Program) Start(t *testing.T, values map[string]string) *Process {
	t.Helper()
	dir, err := os.MkdirTemp("", p.Command) // not t.TempDir, which other users cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	v := map[string]string{"Dir": dir, "Addr": addr, "Port": port}
	maps.Copy(v, values)
	for name, content := range p.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fill(t, content, v)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if p.Prepare != nil {
		args := fillAll(t, p.Prepare, v)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
	open(t, dir)
	cmd := exec.Command(find(t, p.Command, p.Install), fillAll(t, p.Args, v)...)
	cmd.Dir = dir
	launch(t, cmd, addr)
	return &Process{Addr: addr, Dir: dir, PID: cmd.Process.Pid}
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

// fillAll fills in templates.
func fillAll(t *testing.T, texts []string, v map[string]string) []string {
	t.Helper()
	var all []string
	for _, text := range texts {
		all = append(all, fill(t, text, v))
	}
	return all
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
