package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"culvert/fallback"
)

// tripsOver is how many round trips more than direct gRPC's the first response
// through a tunnel may take.
const tripsOver = 1

// tripsRow is the row of what is waited for until the first response.
func tripsRow() row {
	return row{
		name:    "round trips to the first response",
		steady:  true,
		metrics: []metric{{unit: count, over: tripsOver}},
		prepare: func(_ context.Context, s *stack) (load, error) { return &tripsLoad{s}, nil },
	}
}

// autoTripsRow is the same with the product in mode Auto, where it finds out
// that native gRPC passes.
func autoTripsRow() row {
	return row{
		name:    "round trips to the first response, Auto",
		only:    []string{baselineName, controlName, productName},
		steady:  true,
		metrics: []metric{{unit: count, bound: 1}},
		prepare: func(_ context.Context, s *stack) (load, error) {
			if s.way.name == productName {
				auto := *s
				e := *s.endpoint
				e.client = func(addr string) client { return autoClient(s.pair, addr) }
				auto.endpoint = &e
				s = &auto
			}
			return &tripsLoad{s}, nil
		},
	}
}

// autoClient is a client of the product in mode Auto. Closing it fails if
// gRPC went another way than natively.
func autoClient(s security, addr string) client {
	d := &fallback.Dialer{Mode: fallback.Auto, TLS: s.client, Insecure: s.client == nil}
	return client{target: addr, options: d.DialOptions(), close: func() error {
		status := d.Status(addr)
		err := d.Close()
		if status.Way != fallback.Direct {
			err = errors.Join(err, fmt.Errorf("auto: %v, %s", status.Way, status.Reason))
		}
		return err
	}}
}

// tripsLoad connects over a long way and makes one call.
type tripsLoad struct{ stack *stack }

// Close does nothing: slice closes what it opened.
func (*tripsLoad) Close() error { return nil }

// slice returns the round trips from nothing to the call's answer, that of the
// TCP handshake included. They are counted by the time that they take, in
// halves, rounded down: on this way, nothing else takes as long. A way shorter
// than farDelay, as of -smoke, gives figures that mean nothing.
func (l *tripsLoad) slice(ctx context.Context, d time.Duration) (_ []float64, err error) {
	delay := min(farDelay, d)
	r, err := newRelay(l.stack.endpoint.lis.Addr().String(), delay)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	begin := time.Now()
	conns, err := l.stack.connsTo(ctx, r.addr(), 1)
	took := time.Since(begin)
	if err != nil {
		return nil, err
	}
	return []float64{math.Floor(float64(took)/float64(delay)) / 2}, conns.Close()
}
