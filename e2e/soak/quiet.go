package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"culvert/e2e/chaos/relay"
)

const (
	// settling is how long goroutines may take to end at a quiet point: as
	// long as what a closed client left behind.
	settling = window + time.Second
	// pause is what comes before. Few bytes are acknowledged within 800 ms,
	// and until then they are kept, in blocks of up to 128 KiB.
	pause = 1200 * time.Millisecond
)

// quiet takes samples while nothing goes on.
type quiet struct {
	began   time.Time
	samples []sample
	least   sample // of goroutines and descriptors, each
}

// take waits until there is no more than at the quietest point so far, but no
// longer than settling, and takes a sample. The first waits all that time.
func (q *quiet) take() (sample, error) {
	relay.Wait(pause, nil)
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for deadline := time.Now().Add(settling); time.Now().Before(deadline); <-t.C {
		d, err := descriptors()
		if err != nil {
			return sample{}, err
		}
		if runtime.NumGoroutine() <= q.least.goroutines && d <= q.least.descriptors {
			break
		}
	}
	s, err := look()
	if err != nil {
		return s, err
	}
	s.at = time.Since(q.began)
	if len(q.samples) == 0 {
		q.least = s
	}
	q.least.goroutines = min(q.least.goroutines, s.goroutines)
	q.least.descriptors = min(q.least.descriptors, s.descriptors)
	q.samples = append(q.samples, s)
	return s, nil
}

// look counts what the process holds. The second collection empties what the
// first one left in pools.
func look() (s sample, err error) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.goroutines, s.heap, s.objects = runtime.NumGoroutine(), m.HeapAlloc, m.HeapObjects
	if s.descriptors, err = descriptors(); err != nil {
		return s, err
	}
	s.rss, err = resident()
	return s, err
}

// descriptors is how many are open, but for the one that counts them.
func descriptors() (int, error) {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, fmt.Errorf("only where there is /proc: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(0)
	return len(names) - 1, err
}

// resident is the size of the memory that the process has.
func resident() (uint64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		return 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	return pages * uint64(os.Getpagesize()), nil
}
