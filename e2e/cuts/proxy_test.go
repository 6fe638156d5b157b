package cuts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"culvert/e2e/cert"
	"culvert/e2e/internal/program"
)

// frontend is a proxy to be run: TLS in front, HTTP/1.1 behind.
type frontend struct {
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

// proxy is a frontend that runs, or ran.
type proxy struct {
	*program.Process
	frontend
	pair *cert.Pair // what it presents
}

// start runs f on a port of its own before backend until the test ends.
func (f frontend) start(t *testing.T, backend, timeout string) *proxy {
	t.Helper()
	dir, addr := t.TempDir(), program.FreeAddr(t)
	r := &proxy{frontend: f, pair: cert.New(t)}
	certFile, keyFile := r.pair.Write(t, dir)
	var both []byte // haproxy wants them in one file
	for _, name := range []string{certFile, keyFile} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, content...)
	}
	var config strings.Builder
	err := template.Must(template.New("").Parse(f.config)).Execute(&config, settings{addr, backend, timeout, os.Geteuid() == 0})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"both.pem": both, "config": []byte(config.String())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s's log:\n%s", f.command, program.Tail(r.Read(t, f.log)))
		}
	})
	r.Process = &program.Process{Addr: addr, Dir: dir}
	r.launch(t)
	return r
}

// launch starts the process, once more if it was stopped.
func (r *proxy) launch(t *testing.T) {
	t.Helper()
	r.Process = program.Launch(t, program.Command{Name: r.command, Install: r.install, Args: r.args, Dir: r.Dir, Addr: r.Addr})
}

// count returns how many lines of a file contain all the words.
func (r *proxy) count(t *testing.T, name string, words ...string) int {
	t.Helper()
	n := 0
lines:
	for line := range strings.Lines(r.Read(t, name)) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		n++
	}
	return n
}
