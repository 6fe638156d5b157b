package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"google.golang.org/grpc"
)

// A row is one kind of work, measured by one or more metrics at once.
type row struct {
	name    string
	metrics []metric
	// prepare readies s for the work, once for all rounds.
	prepare func(ctx context.Context, s *stack) (load, error)
	// steady says that its figures hardly vary: a fifth of the rounds will do.
	steady bool
}

// A metric is a figure that a row gives.
type metric struct {
	name  string // what tells it from the row's others; "" if there are none
	unit  unit
	bound float64 // of the product's ratio to direct gRPC: 0 for none
}

// A load is a stack under one row's work.
type load interface {
	// slice works for about d and returns a value for each of the row's
	// metrics. When ctx ends, it has taken far too long.
	slice(ctx context.Context, d time.Duration) ([]float64, error)
	Close() error
}

// Bounds of the product's median ratio.
const (
	rateBound   = 0.9
	timeBound   = 1.1
	memoryBound = 2.0
)

// rows returns those whose names match pattern. idle is the number of
// connections of the idle row.
func rows(pattern *regexp.Regexp, idle int) []row {
	all := []row{
		{name: "unary 100 B, one at a time", metrics: []metric{
			{"mean", duration, timeBound},
			{"p50", duration, timeBound},
			{"p99", duration, timeBound},
		}, prepare: prepareConn(func(c onConn) load { return &unaryLoad{onConn: c} })},
		{name: "unary 100 B, 100 in flight", metrics: []metric{{"", callRate, rateBound}},
			prepare: prepareConn(func(c onConn) load { return &manyLoad{c} })},
		{name: "ping-pong 16 B", metrics: []metric{{"", duration, timeBound}},
			prepare: prepareConn(func(c onConn) load { return &pingLoad{onConn: c} })},
		stream("100 B", 100, down),
		stream("100 B", 100, up),
		stream("64 KiB", 64<<10, down),
		stream("64 KiB", 64<<10, up),
		stream("1 MiB", 1<<20, down),
		stream("1 MiB", 1<<20, up),
		{name: "idle connection", steady: true, metrics: []metric{
			{"memory", memory, memoryBound},
			{"goroutines", count, 0},
		}, prepare: func(_ context.Context, s *stack) (load, error) { return &idleLoad{s, idle}, nil }},
	}
	var list []row
	for _, r := range all {
		if pattern.MatchString(r.name) {
			list = append(list, r)
		}
	}
	return list
}

// call makes one unary call of size bytes each way.
func call(ctx context.Context, cc *grpc.ClientConn, size int) error {
	m := &message{size: size}
	if err := cc.Invoke(ctx, unaryMethod, m, m); err != nil {
		return err
	}
	return m.expect(size)
}

// expect returns an error unless the message's size is size.
func (m *message) expect(size int) error {
	if m.size != size {
		return fmt.Errorf("got a message of %d bytes, want %d", m.size, size)
	}
	return nil
}

// ignoreEOF returns nil for io.EOF.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
