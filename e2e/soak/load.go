package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"culvert/e2e/chaos/relay"
)

const (
	opTimeout  = 20 * time.Second      // for one op; one that hangs fails then
	errorPause = 10 * time.Millisecond // after an op that failed
)

// load is callers that repeat their ops, and can be paused.
type load struct {
	gate    sync.RWMutex // held by each op, and to pause them all
	stopped bool         // under gate
	callers []*caller
	faults  faults
	wg      sync.WaitGroup
}

// caller is one of the things that the load does all the time.
type caller struct {
	way  *way
	op   string
	done atomic.Int64
}

// start starts the callers of w. Streams that stay open end with ctx.
func (l *load) start(ctx context.Context, w *way) {
	for range 4 {
		l.repeat(ctx, w, "unary", w.unary)
	}
	for range 2 {
		l.repeat(ctx, w, "long bidi", w.chat(ctx))
	}
	l.repeat(ctx, w, "server streaming", w.down)
	l.repeat(ctx, w, "client streaming", w.up)
	l.repeat(ctx, w, "cancelled", w.cancelled)
	l.repeat(ctx, w, "past its deadline", w.late)
	l.repeat(ctx, w, "new ClientConn", visit(w.connect))
	if w.tunnel != nil {
		l.repeat(ctx, w, "new tunnel", visit(w.tunnel))
	}
}

// repeat runs op again and again.
func (l *load) repeat(ctx context.Context, w *way, name string, op func(context.Context) error) {
	c := &caller{way: w, op: name}
	l.callers = append(l.callers, c)
	l.wg.Go(func() {
		for l.enter() {
			one, cancel := context.WithTimeout(ctx, opTimeout)
			err := op(one)
			cancel()
			l.gate.RUnlock()
			if err != nil {
				l.faults.add(w.name+", "+name, err)
				relay.Wait(errorPause, ctx.Done())
				continue
			}
			c.done.Add(1)
		}
	})
}

// enter waits while the load is paused. It reports false if the load is over.
func (l *load) enter() bool {
	l.gate.RLock()
	if l.stopped {
		l.gate.RUnlock()
		return false
	}
	return true
}

// pause waits until every op in progress has ended; the streams of the long
// ones stay open. No other begins until resume.
func (l *load) pause() { l.gate.Lock() }

func (l *load) resume() { l.gate.Unlock() }

// finish ends a load that is paused.
func (l *load) finish() {
	l.stopped = true
	l.resume()
	l.wg.Wait()
}

// kinds is what ops there are.
func (l *load) kinds() (names []string) {
	for _, c := range l.callers {
		if !slices.Contains(names, c.op) {
			names = append(names, c.op)
		}
	}
	return names
}

// ops is how many of them went as intended; nil and "" stand for all.
func (l *load) ops(w *way, op string) (n int64) {
	for _, c := range l.callers {
		if (w == nil || c.way == w) && (op == "" || c.op == op) {
			n += c.done.Load()
		}
	}
	return n
}
