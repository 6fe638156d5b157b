package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
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
	// only holds the names of the ways that it is for; nil means all.
	only []string
}

// among returns those of list that the row is for.
func (r *row) among(list []contender) []contender {
	return slices.DeleteFunc(slices.Clone(list), func(c contender) bool {
		return r.only != nil && !slices.Contains(r.only, c.way.name)
	})
}

// A metric is a figure that a row gives.
type metric struct {
	name  string // what tells it from the row's others; "" if there are none
	unit  unit
	bound float64 // of the product's ratio to direct gRPC: 0 for none
	over  float64 // by how much the product may exceed direct gRPC, if there is no bound: 0 for any
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
	rateBound   = 1.0
	bulkBound   = 0.97
	timeBound   = 1.05
	tailBound   = 1.15
	memoryBound = 2.0
)

// rows returns those whose names match pattern. idle is the number of
// connections of the idle row.
func rows(pattern *regexp.Regexp, idle int) []row {
	all := []row{
		{name: "unary 100 B, one at a time", metrics: []metric{
			{name: "mean", unit: duration},
			{name: "p50", unit: duration, bound: timeBound},
			{name: "p99", unit: duration, bound: tailBound},
		}, prepare: prepareConn(func(c onConn) load { return &unaryLoad{onConn: c} })},
		{name: "unary 100 B, 100 in flight", metrics: []metric{{unit: callRate, bound: rateBound}},
			prepare: prepareConn(func(c onConn) load { return &manyLoad{c} })},
		{name: "ping-pong 16 B", metrics: []metric{{unit: duration, bound: timeBound}},
			prepare: prepareConn(func(c onConn) load { return &pingLoad{onConn: c} })},
		stream("100 B", 100, down),
		stream("100 B", 100, up),
		stream("64 KiB", 64<<10, down),
		stream("64 KiB", 64<<10, up),
		stream("1 MiB", 1<<20, down),
		stream("1 MiB", 1<<20, up),
		{name: "idle connection", steady: true, metrics: []metric{
			{name: "memory", unit: memory, bound: memoryBound},
			{name: "goroutines", unit: count},
		}, prepare: func(_ context.Context, s *stack) (load, error) { return &idleLoad{s, idle}, nil }},
		serverEndRow(idle),
		mixedRow(),
		besideRow(),
		allocationsRow(),
		farRow(),
		tripsRow(),
		autoTripsRow(),
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
