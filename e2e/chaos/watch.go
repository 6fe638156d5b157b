package main

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"culvert/e2e/chaos/proc"
	"culvert/e2e/chaos/relay"
)

// watcher prints the progress, and knows who made none.
type watcher struct {
	s    *stage
	to   io.Writer
	done chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	last []int64 // of each caller, at the last tick but one
	now  []int64 // at the last tick
}

func watch(s *stage) *watcher {
	w := &watcher{s: s, to: s.stderr, done: make(chan struct{})}
	w.now = make([]int64, len(s.load.callers))
	w.wg.Go(w.run)
	return w
}

func (w *watcher) end() {
	close(w.done)
	w.wg.Wait()
}

func (w *watcher) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.look()
			w.line()
		case <-w.done:
			return
		}
	}
}

func (w *watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.now = w.now, nil
	for _, c := range w.s.load.callers {
		w.now = append(w.now, c.done.Load())
	}
}

func (w *watcher) line() {
	b := w.s.book
	_, faults, _ := b.count()
	fmt.Fprintf(w.to, "%4.0f s: %d cuts, %d unary calls, %d echoes, %d MiB down, %d MiB up, %d faults, %d stuck, %d goroutines\n",
		time.Since(w.s.began).Seconds(), w.s.cutter.Counts().Made, b.unary.Load(), b.echoed.Load(),
		b.downBytes.Load()>>20, b.upBytes.Load()>>20, faults, len(w.stuck()), runtime.NumGoroutine())
}

// stuck is who did nothing between the last two ticks.
func (w *watcher) stuck() []*caller {
	w.mu.Lock()
	defer w.mu.Unlock()
	var r []*caller
	for i, c := range w.s.load.callers {
		if w.last != nil && w.last[i] == w.now[i] && !c.ended.Load() {
			r = append(r, c)
		}
	}
	return r
}

// hung tells who did not move for a second, and prints the stacks.
func (w *watcher) hung() {
	w.look()
	relay.Wait(time.Second, nil)
	w.look()
	fmt.Fprintf(w.to, "chaos: %d goroutines; without progress for a second:", runtime.NumGoroutine())
	for _, c := range w.stuck() {
		fmt.Fprintf(w.to, " %s (%d)", c.name, c.done.Load())
	}
	fmt.Fprintln(w.to)
	proc.Stacks(w.to)
}
