package main

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// idleLoad opens connections that share nothing, makes a call on each, and
// leaves them alone.
type idleLoad struct {
	stack *stack
	n     int
}

// idleFor is how long connections are left alone before they count as idle:
// longer than the last acknowledgements take, which is 800 ms.
const idleFor = 1200 * time.Millisecond

// Close does nothing: slice closes what it opened.
func (*idleLoad) Close() error { return nil }

// slice returns the memory and the goroutines that one idle connection holds,
// both ends together.
func (l *idleLoad) slice(ctx context.Context, _ time.Duration) (_ []float64, err error) {
	goroutines := settledGoroutines()
	bytes := liveBytes()
	var open []*connections
	defer func() {
		for _, c := range open {
			err = errors.Join(err, c.Close())
		}
		settledGoroutines()
	}()
	for range l.n {
		c, err := l.stack.conns(ctx, 1)
		if err != nil {
			return nil, err
		}
		open = append(open, c)
	}
	n := float64(l.n)
	time.Sleep(idleFor)
	held := float64(settledGoroutines() - goroutines)
	return []float64{(liveBytes() - bytes) / n, held / n}, nil
}

// settledGoroutines waits until the number of goroutines has been the same for
// a while, and returns it.
func settledGoroutines() int {
	const calm, atMost = 20, 1000
	n, same := runtime.NumGoroutine(), 0
	for i := 0; i < atMost && same < calm; i++ {
		time.Sleep(2 * time.Millisecond)
		if now := runtime.NumGoroutine(); now == n {
			same++
		} else {
			n, same = now, 0
		}
	}
	return n
}

// liveBytes returns the bytes of live objects and of stacks.
func liveBytes() float64 {
	for range 3 { // pools and finalizers hold on for a cycle or two
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
