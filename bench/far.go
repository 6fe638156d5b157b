package main

import (
	"context"
	"errors"
	"time"
)

// farDelay is what bytes take one way over a long way.
const farDelay = 50 * time.Millisecond

// farBound is that of the rate of a stream over a long way, where it depends on
// windows more than on the processor.
const farBound = 0.95

// farSlice is how long a stream over a long way is measured at least.
const farSlice = 2 * time.Second

// farRow is the row of a stream over a long way.
func farRow() row {
	return row{
		name:   "one stream over 100 ms round trip",
		only:   few(),
		steady: true,
		metrics: []metric{
			{name: string(down), unit: byteRate, bound: farBound},
			{name: string(up), unit: byteRate, bound: farBound},
		},
		prepare: func(_ context.Context, s *stack) (load, error) { return &farLoad{stack: s}, nil },
	}
}

// farLoad sends messages one way and then the other.
type farLoad struct {
	stack *stack
	relay *relay
	onConn
}

// slice returns the bytes that arrive in a second, down and up. The first one
// is longer and lets windows grow. Slices that are shorter than the way, as
// -smoke has them, stay short, and the way is shortened to them.
func (l *farLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	delay := min(farDelay, d)
	if d >= farDelay {
		d = max(d, farSlice)
	}
	if l.relay == nil {
		d = d * 3 / 2
		if err := l.connect(ctx, delay); err != nil {
			return nil, err
		}
	}
	var values []float64
	for _, dir := range []direction{down, up} {
		rate, err := (&streamLoad{onConn: l.onConn, size: 64 << 10, dir: dir}).slice(ctx, d)
		if err != nil {
			return nil, err
		}
		values = append(values, rate...)
	}
	return values, nil
}

// connect starts the relay and a ClientConn through it.
func (l *farLoad) connect(ctx context.Context, delay time.Duration) (err error) {
	if l.relay, err = newRelay(l.stack.endpoint.lis.Addr().String(), delay); err != nil {
		return err
	}
	conns, err := l.stack.connsTo(ctx, l.relay.addr(), 1)
	if err != nil {
		return err
	}
	l.onConn = onConn{conns, l.stack, conns.list[0]}
	return nil
}

// Close closes what connect opened.
func (l *farLoad) Close() error {
	var errs []error
	if l.connections != nil {
		errs = append(errs, l.connections.Close())
	}
	if l.relay != nil {
		errs = append(errs, l.relay.Close())
	}
	return errors.Join(errs...)
}
