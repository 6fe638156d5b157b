package main

import (
	"math"
	"slices"
	"sync"
	"time"
)

// percentile returns the value of sorted that p of 100 do not exceed, 0 if
// there is none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(n, 1), len(sorted))-1]
}

// A window collects how calls went.
type window struct {
	mu     sync.Mutex
	took   []time.Duration
	errors int
	texts  []string // a few of the errors
}

const shownErrors = 3

func (w *window) add(took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.took = append(w.took, took)
		return
	}
	w.errors++
	if text := err.Error(); len(w.texts) < shownErrors && !slices.Contains(w.texts, text) {
		w.texts = append(w.texts, text)
	}
}

// A spread is what is told of a window.
type spread struct {
	Calls, Errors      int // those that went well, and the others
	Median, P99, Worst time.Duration
	Texts              []string `json:",omitempty"` // of some of the errors
}

func (w *window) spread() spread {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.took)
	return spread{
		Calls: len(w.took), Errors: w.errors, Texts: w.texts,
		Median: percentile(w.took, 50), P99: percentile(w.took, 99), Worst: percentile(w.took, 100),
	}
}
