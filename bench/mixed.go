package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

const (
	mixedConns = 8 // ClientConns that share one client
	mixedSize  = 64 << 10
	besideSize = 1 << 20
)

// Bounds of small calls that share a connection with others, and of the
// allocations that a call may cost more than over direct gRPC.
const (
	sharedRateBound = 1.0
	sharedTimeBound = 1.5
	besideTimeBound = 2.0
	allocationsOver = 6
)

// mixedRow is the row of several ClientConns over one client: calls one after
// another on each, and streams beside them on three.
func mixedRow() row {
	return row{
		name: "8 ClientConns, mixed load",
		only: few(),
		metrics: []metric{
			{name: "calls", unit: callRate, bound: sharedRateBound},
			{name: "worst p99", unit: duration, bound: sharedTimeBound},
			{name: "bulk", unit: byteRate, bound: sharedRateBound},
		},
		prepare: func(ctx context.Context, s *stack) (load, error) {
			conns, err := s.conns(ctx, mixedConns)
			if err != nil {
				return nil, err
			}
			return &mixedLoad{connections: conns, stack: s, times: make([][]float64, mixedConns)}, nil
		},
	}
}

// besideRow is the row of small calls on a ClientConn that is full both ways.
func besideRow() row {
	return row{
		name: "bulk beside small calls",
		only: few(),
		metrics: []metric{
			{name: "p99", unit: duration, bound: besideTimeBound},
			{name: "p50", unit: duration},
			{name: "bulk", unit: byteRate},
		},
		prepare: prepareConn(func(c onConn) load { return &besideLoad{onConn: c} }),
	}
}

// mixedLoad is what mixedRow describes.
type mixedLoad struct {
	*connections
	stack *stack
	times [][]float64 // of the calls, by ClientConn
}

// slice returns how many calls a second all callers make together, the 99th
// percentile of a call's time, in seconds, of the caller for which that is
// longest, and the bytes a second of the streams beside them.
func (l *mixedLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	d *= tailSlices
	stream := func(i int) *streamLoad { return &streamLoad{onConn: l.on(l.list[i]), size: mixedSize, dir: down} }
	var bulk float64
	err := stream(0).down(ctx, func(ctx context.Context, one *atomic.Int64) error {
		return stream(1).down(ctx, func(ctx context.Context, two *atomic.Int64) (err error) {
			bulk, err = meanwhile(ctx, func() error { return l.calls(ctx, d) }, one, two)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var rate, worst float64
	for _, times := range l.times {
		slices.Sort(times)
		rate += 1 / mean(times) // a caller makes one call after another
		worst = max(worst, quantile(times, 0.99))
	}
	for _, cc := range l.list {
		if err := l.stack.settle(ctx, cc); err != nil {
			return nil, err
		}
	}
	return []float64{rate, worst, bulk * mixedSize}, nil
}

// calls has all callers make calls for d, beside a ping-pong.
func (l *mixedLoad) calls(ctx context.Context, d time.Duration) error {
	var t tasks
	for i, cc := range l.list {
		t.run(func() (err error) {
			l.times[i], err = timed(d, l.times[i][:0], func() error { return call(ctx, cc, unarySize) })
			return err
		})
	}
	t.run(func() error {
		_, err := (&pingLoad{onConn: l.on(l.list[2])}).slice(ctx, d)
		return err
	})
	return t.wait()
}

// on returns one of the ClientConns as the loads for one take it.
func (l *mixedLoad) on(cc *grpc.ClientConn) onConn { return onConn{l.connections, l.stack, cc} }

// besideLoad makes one call after another beside a stream each way.
type besideLoad struct {
	onConn
	times []float64
}

// slice returns 99th percentile and median of the time of a call, in seconds,
// and the bytes that the streams carry in a second, both ways together.
func (l *besideLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	d *= tailSlices
	stream := &streamLoad{onConn: l.onConn, size: besideSize}
	var bulk float64
	err := stream.down(ctx, func(ctx context.Context, received *atomic.Int64) error {
		return stream.up(ctx, func(ctx context.Context, sent *atomic.Int64) (err error) {
			bulk, err = meanwhile(ctx, func() (err error) {
				l.times, err = timed(d, l.times[:0], func() error { return call(ctx, l.cc, unarySize) })
				return err
			}, received, sent)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(l.times)
	return []float64{quantile(l.times, 0.99), quantile(l.times, 0.5), bulk * besideSize}, l.stack.settle(ctx, l.cc)
}

// meanwhile returns by how much a second counters grow, together, while f
// runs. It waits until each grows before it runs f: calls are many times faster
// while nothing else moves, so a few of those would outnumber the others.
func meanwhile(ctx context.Context, f func() error, counters ...*atomic.Int64) (float64, error) {
	for _, c := range counters {
		if _, err := window(ctx, c, time.Millisecond); err != nil {
			return 0, err
		}
	}
	sum := func() (n int64) {
		for _, c := range counters {
			n += c.Load()
		}
		return n
	}
	from, begin := sum(), time.Now()
	if err := f(); err != nil {
		return 0, err
	}
	return float64(sum()-from) / time.Since(begin).Seconds(), nil
}

// tailSlices is how much longer loads work whose calls are slow: a 99th
// percentile takes hundreds of them.
const tailSlices = 3

// tasks are functions that run at the same time.
type tasks struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// run runs f in a goroutine.
func (t *tasks) run(f func() error) {
	t.wg.Go(func() {
		if err := f(); err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.errs = append(t.errs, err)
		}
	})
}

// wait waits for all functions and returns their errors.
func (t *tasks) wait() error {
	t.wg.Wait()
	return errors.Join(t.errs...)
}
