package main

import (
	"context"
	"io"
	"time"
)

// drain reads all that comes, in a goroutine. The channel is closed when the
// connection is over.
func (s *socket) drain() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, s.in)
	}()
	return over
}

// flood writes what next returns until the connection is over or ctx ends, and
// counts it.
func (t *target) flood(ctx context.Context, s *socket, name string, next func() ([]byte, int)) {
	for ctx.Err() == nil {
		b, n := next()
		if _, err := s.Write(b); err != nil {
			return
		}
		t.add(name, int64(n))
	}
}

// same returns what has flood write b, which counts n, again and again.
func same(b []byte, n int) func() ([]byte, int) {
	return func() ([]byte, int) { return b, n }
}

// provoked writes b and counts whether the server ends the connection soon.
func (t *target) provoked(ctx context.Context, s *socket, name string, b []byte) {
	const patience = 2 * time.Second
	over := s.drain()
	_, _ = s.Write(b)
	t.add(name, 1)
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-over:
	case <-limit.C:
		t.add("not cut off", 1)
	case <-ctx.Done():
	}
}
