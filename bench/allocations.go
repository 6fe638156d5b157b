package main

import (
	"context"
	"runtime"
	"time"
)

// allocationsRow is the row of what a call allocates.
func allocationsRow() row {
	return row{
		name:    "unary 100 B, allocations",
		steady:  true,
		metrics: []metric{{unit: count, over: allocationsOver}},
		prepare: prepareConn(func(c onConn) load { return &allocationsLoad{c} }),
	}
}

// allocationsLoad makes one call after another and counts allocations.
type allocationsLoad struct{ onConn }

// slice returns the heap allocations of a call, at both ends together. The
// other contenders' connections are idle meanwhile.
func (l *allocationsLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	if _, err := l.calls(ctx, leadIn(d)); err != nil {
		return nil, err
	}
	before := mallocs()
	n, err := l.calls(ctx, d)
	if err != nil {
		return nil, err
	}
	return []float64{float64(mallocs()-before) / float64(n)}, nil
}

// calls makes calls for d, at least one, and returns how many.
func (l *allocationsLoad) calls(ctx context.Context, d time.Duration) (n int, err error) {
	for until := time.Now().Add(d); n == 0 || time.Now().Before(until); n++ {
		if err := call(ctx, l.cc, unarySize); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// mallocs returns how many objects were ever allocated.
func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
