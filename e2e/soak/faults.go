package main

import (
	"fmt"
	"io"
	"sync"
)

// shownFaults is how many faults are printed.
const shownFaults = 10

// faults counts what went wrong.
type faults struct {
	mu    sync.Mutex
	n     int
	shown []string
}

func (f *faults) add(where string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; len(f.shown) < shownFaults {
		f.shown = append(f.shown, fmt.Sprintf("%s: %v", where, err))
	}
}

func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// show prints the first of them.
func (f *faults) show(to io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.shown {
		fmt.Fprintln(to, line)
	}
	if f.n > len(f.shown) {
		fmt.Fprintf(to, "and %d more\n", f.n-len(f.shown))
	}
}
