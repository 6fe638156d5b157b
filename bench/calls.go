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
	unarySize = 100
	pingSize  = 16
	inFlight  = 100
)

// leadIn is the part of a slice that goes by before counting starts, so that
// pools and caches that the others' slices emptied are filled again.
func leadIn(d time.Duration) time.Duration { return d / 5 }

// onConn is a load on one ClientConn.
type onConn struct {
	*connections
	stack *stack
	cc    *grpc.ClientConn
}

// prepareConn makes a row's prepare of what makes a load of one ClientConn.
func prepareConn(newLoad func(onConn) load) func(context.Context, *stack) (load, error) {
	return func(ctx context.Context, s *stack) (load, error) {
		conns, err := s.conns(ctx, 1)
		if err != nil {
			return nil, err
		}
		return newLoad(onConn{conns, s, conns.list[0]}), nil
	}
}

// unaryLoad makes one call after another.
type unaryLoad struct {
	onConn
	times []float64
}

// slice returns mean, median and 99th percentile of the time of a call, in
// seconds.
func (l *unaryLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	times, err := timed(d, l.times[:0], func() error { return call(ctx, l.cc, unarySize) })
	if err != nil {
		return nil, err
	}
	l.times = times
	slices.Sort(times)
	return []float64{mean(times), quantile(times, 0.5), quantile(times, 0.99)}, nil
}

// timed repeats f for d, after the lead-in, and appends how long each took to
// times, in seconds.
func timed(d time.Duration, times []float64, f func() error) ([]float64, error) {
	begin := time.Now()
	from, until := begin.Add(leadIn(d)), begin.Add(leadIn(d)+d)
	for last := begin; last.Before(until) || len(times) == 0; {
		if err := f(); err != nil {
			return nil, err
		}
		now := time.Now()
		if last.After(from) {
			times = append(times, now.Sub(last).Seconds())
		}
		last = now
	}
	return times, nil
}

// manyLoad keeps inFlight calls going.
type manyLoad struct{ onConn }

// slice returns calls a second.
func (l *manyLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	var done atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	errs := make(chan error, inFlight)
	for range inFlight {
		wg.Go(func() {
			for !stop.Load() {
				if err := call(ctx, l.cc, unarySize); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	rate, err := window(ctx, &done, d)
	stop.Store(true)
	wg.Wait()
	close(errs)
	return []float64{rate}, errors.Join(<-errs, err)
}

// window returns by how much a second counter grows during d, after the
// lead-in. It goes on for longer if nothing happens at all.
func window(ctx context.Context, counter *atomic.Int64, d time.Duration) (float64, error) {
	time.Sleep(leadIn(d))
	from, begin := counter.Load(), time.Now()
	for {
		time.Sleep(d)
		if n := counter.Load() - from; n > 0 {
			return float64(n) / time.Since(begin).Seconds(), nil
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
}

// pingLoad plays ping-pong on one stream.
type pingLoad struct {
	onConn
	times []float64
}

// slice returns the mean time of a round trip, in seconds.
func (l *pingLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	stream, err := l.cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, pingMethod)
	if err != nil {
		return nil, err
	}
	m := new(message)
	l.times, err = timed(d, l.times[:0], func() error {
		m.size = pingSize
		if err := stream.SendMsg(m); err != nil {
			return errors.Join(err, stream.RecvMsg(m)) // RecvMsg has the cause
		}
		if err := stream.RecvMsg(m); err != nil {
			return err
		}
		return m.expect(pingSize)
	})
	if err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	if err := ignoreEOF(stream.RecvMsg(m)); err != nil {
		return nil, err
	}
	return []float64{mean(l.times)}, nil
}
