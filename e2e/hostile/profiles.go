package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiles are those of this process, in files PREFIX.cpu, PREFIX.goroutine and
// PREFIX.heap. The last tells of the last collection that was ended.
type profiles struct {
	prefix string
	cpu    *os.File
}

// begin begins a CPU profile.
func (p *profiles) begin(prefix string) (err error) {
	if p.cpu, err = os.Create(filepath.Clean(prefix + ".cpu")); err != nil {
		return err
	}
	p.prefix = prefix
	return pprof.StartCPUProfile(p.cpu)
}

// end ends it and writes the others.
func (p *profiles) end() error {
	pprof.StopCPUProfile()
	return errors.Join(p.cpu.Close(), p.write("goroutine"), p.write("heap"))
}

func (p *profiles) write(name string) error {
	f, err := os.Create(filepath.Clean(p.prefix + "." + name))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
}
