package main

import (
	"context"
	"errors"
	"time"
)

// Bounds of what an idle connection holds at the server.
const (
	serverMemoryBound = 1.5
	goroutinesOver    = 4
)

// serverEndRow is the row of what n idle connections hold at the server.
func serverEndRow(n int) row {
	return row{
		name:   "idle connection, server's end",
		steady: true,
		metrics: []metric{
			{name: "memory", unit: memory, bound: serverMemoryBound},
			{name: "goroutines", unit: count, over: goroutinesOver},
		},
		prepare: func(_ context.Context, s *stack) (load, error) { return &serverEndLoad{s, n}, nil },
	}
}

// serverEndLoad has another process open connections and measures this one.
type serverEndLoad struct {
	stack *stack
	n     int
}

// Close does nothing: slice ends the process it starts.
func (*serverEndLoad) Close() error { return nil }

// slice returns the memory and the goroutines that the server's end of one
// idle connection holds: how much more there is of both when as many
// connections again are open. The first of them take what ended goroutines left
// behind, stacks above all, that counts as in use and would otherwise have been
// there before.
func (l *serverEndLoad) slice(ctx context.Context, _ time.Duration) (_ []float64, err error) {
	c, err := startChild(ctx, clientEnds)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, c.end())
		settledGoroutines()
	}()
	var bytes, goroutines [2]float64
	for i := range 2 {
		if err := c.open(l.order()); err != nil {
			return nil, err
		}
		time.Sleep(idleFor)
		goroutines[i] = float64(settledGoroutines())
		bytes[i] = liveBytes()
	}
	n := float64(l.n)
	return []float64{(bytes[1] - bytes[0]) / n, (goroutines[1] - goroutines[0]) / n}, nil
}

// order asks for l's connections.
func (l *serverEndLoad) order() order {
	o := order{
		Contender: l.stack.String(), Addr: l.stack.endpoint.lis.Addr().String(),
		Connections: l.n, Copies: l.stack.codec.copies,
	}
	if server := l.stack.pair.server; server != nil {
		o.Root = server.Certificates[0].Certificate[0]
	}
	return o
}
