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

// Start runs p until the test ends. It returns once p takes connections, and
// fails the test if it does not.
func (p Program) Start(t testing.TB, values map[string]string) *Process {
	t.Helper()
	dir, err := os.MkdirTemp("", p.Command) // not t.TempDir, which other users cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	addr := FreeAddr(t)
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
	return Launch(t, Command{p.Command, p.Install, fillAll(t, p.Args, v), dir, addr})
}

// open lets every user into dir: squid does not run as root.
func open(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o777))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fillAll fills in templates.
func fillAll(t testing.TB, texts []string, v map[string]string) []string {
	t.Helper()
	var all []string
	for _, text := range texts {
		all = append(all, fill(t, text, v))
	}
	return all
}

// fill fills in a template.
func fill(t testing.TB, text string, v map[string]string) string {
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
