package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A tally counts what an attacker did, by name. The zero value is empty.
type tally struct {
	mu     sync.Mutex
	counts []count
	broken []string
}

type count struct {
	Name string
	N    int64
}

// add adds n to the count of that name.
func (t *tally) add(name string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.counts {
		if t.counts[i].Name == name {
			t.counts[i].N += n
			return
		}
	}
	t.counts = append(t.counts, count{name, n})
}

// breach notes that the server did what it must not.
func (t *tally) breach(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.broken, what) {
		t.broken = append(t.broken, what)
	}
}

// account returns what was counted until now.
func (t *tally) account() account {
	t.mu.Lock()
	defer t.mu.Unlock()
	return account{slices.Clone(t.counts), slices.Clone(t.broken)}
}

// An account is what an attack consisted of, and what the server did that it
// must not.
type account struct {
	Counts []count
	Broken []string
}

func (a account) String() string {
	var b strings.Builder
	for i, c := range a.Counts {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d %s", c.N, c.Name)
	}
	return b.String()
}
