package main

import (
	"runtime/metrics"
	"sync"
	"time"
)

// period is how often a meter measures.
const period = 50 * time.Millisecond

// A sample is what the server uses at a time.
type sample struct {
	Resident    int64 // bytes in memory; Go gives them back late
	Heap        int64 // bytes in use, with what is garbage and not collected yet
	Stacks      int64 // bytes
	Goroutines  int
	Descriptors int
	Processor   time.Duration // time used until now, by all threads
}

// used is the memory that something needs, or that is garbage.
func (s sample) used() int64 { return s.Heap + s.Stacks }

// highest returns the larger of each.
func (s sample) highest(t sample) sample {
	return sample{
		max(s.Resident, t.Resident), max(s.Heap, t.Heap), max(s.Stacks, t.Stacks),
		max(s.Goroutines, t.Goroutines), max(s.Descriptors, t.Descriptors), max(s.Processor, t.Processor),
	}
}

// measure measures this process. It does not stop it.
func measure() (s sample, err error) {
	read := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/sched/goroutines:goroutines"},
	}
	metrics.Read(read)
	s.Heap = int64(read[0].Value.Uint64() + read[1].Value.Uint64())
	s.Stacks = int64(read[2].Value.Uint64())
	s.Goroutines = int(read[3].Value.Uint64())
	if s.Resident, err = resident(); err != nil {
		return s, err
	}
	if s.Descriptors, err = descriptors(); err != nil {
		return s, err
	}
	s.Processor, err = processor()
	return s, err
}

// A meter measures all the time.
type meter struct {
	mu   sync.Mutex
	top  sample
	err  error
	stop chan struct{}
	wg   sync.WaitGroup
}

func newMeter() *meter {
	m := &meter{stop: make(chan struct{})}
	m.wg.Go(func() {
		t := time.NewTicker(period)
		defer t.Stop()
		for {
			m.look()
			select {
			case <-t.C:
			case <-m.stop:
				return
			}
		}
	})
	return m
}

func (m *meter) look() {
	s, err := measure()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.top = m.top.highest(s)
	if err != nil {
		m.err = err
	}
}

// peak returns the highest values since the last restart.
func (m *meter) peak(restart bool) (sample, error) {
	m.look()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.top
	if restart {
		m.top = sample{}
	}
	return s, m.err
}

func (m *meter) end() {
	close(m.stop)
	m.wg.Wait()
}
