package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiles are files that tell where growth comes from: the goroutines and the
// heap after the warm-up and at the end.
type profiles struct{ dir string }

// write writes both, as those of when.
func (p *profiles) write(when string) (err error) {
	if p.dir == "" {
		if p.dir, err = os.MkdirTemp("", "soak-"); err != nil {
			return err
		}
	}
	for _, kind := range []string{"goroutine", "heap"} {
		f, err := os.Create(filepath.Join(p.dir, kind+"."+when))
		if err != nil {
			return err
		}
		err = pprof.Lookup(kind).WriteTo(f, 0)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// explain tells how to compare them.
func (p *profiles) explain(to io.Writer) {
	for _, kind := range []string{"goroutine", "heap"} {
		fmt.Fprintf(to, "go tool pprof -top -diff_base %[1]s/%[2]s.before %[1]s/%[2]s.after\n", p.dir, kind)
	}
}

// begun reports whether there are any.
func (p *profiles) begun() bool { return p.dir != "" }

// drop removes them.
func (p *profiles) drop() { _ = os.RemoveAll(p.dir) }
