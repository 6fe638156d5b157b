package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// growCalls is how many calls are made at a time, however many ClientConns
// there are to make them on.
const growCalls = 8

// growSlices is how much longer these loads work, so that a call on each
// ClientConn, which takes longer after a garbage collection, is a small part.
const growSlices = 10

// growRow is the row of small calls over more and more of what is called name.
// Each size is a metric of it, so that all sizes are measured in each round.
func growRow(name string, sizes []int, open func(s *stack, ctx context.Context, n int) (*connections, error)) row {
	r := row{name: name, steady: true}
	for _, n := range sizes {
		r.metrics = append(r.metrics, metric{name: strconv.Itoa(n), unit: duration})
	}
	r.prepare = func(ctx context.Context, s *stack) (load, error) {
		l := &growLoad{}
		for _, n := range sizes {
			conns, err := open(s, ctx, n)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("%d %s: %w", n, name, err), l.Close())
			}
			l.sizes = append(l.sizes, conns)
		}
		return l, nil
	}
	return r
}

// sessionsOf opens n ClientConns that share nothing.
func (s *stack) sessionsOf(ctx context.Context, n int) (*connections, error) {
	all := &connections{}
	var closers []func() error
	all.close = func() error {
		var errs []error
		for _, c := range closers {
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	for range n {
		c, err := s.conns(ctx, 1)
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all.list = append(all.list, c.list...)
		if c.close != nil {
			closers = append(closers, c.close)
		}
	}
	return all, nil
}

// growLoad makes calls on the ClientConns of one size, in turns, then on those
// of the next.
type growLoad struct{ sizes []*connections }

// slice returns the mean time of a call for each size.
func (l *growLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	var values []float64
	for _, conns := range l.sizes {
		rate, err := callRateOn(ctx, conns.list, growSlices*d)
		if err != nil {
			return nil, err
		}
		values = append(values, growCalls/rate)
	}
	return values, nil
}

// callRateOn keeps growCalls calls going, each on the next one of list, and
// returns calls a second.
func callRateOn(ctx context.Context, list []*grpc.ClientConn, d time.Duration) (float64, error) {
	var next, done atomic.Int64
	var stop atomic.Bool
	var t tasks
	for range growCalls {
		t.run(func() error {
			for !stop.Load() {
				if err := call(ctx, list[int(next.Add(1))%len(list)], unarySize); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	rate, err := window(ctx, &done, d)
	stop.Store(true)
	return rate, errors.Join(t.wait(), err)
}

// Close closes the connections of all sizes.
func (l *growLoad) Close() error {
	var errs []error
	for _, c := range l.sizes {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// growthMissed returns an error for each size at which the product's time of a
// call has grown by more, from the first size, than direct gRPC's, and by more
// than the noise: what the control, which is direct gRPC once more, is off.
func growthMissed(results []result) error {
	first := make(map[string]float64) // ratio to direct at the first size
	off := make(map[string]float64)
	var errs []error
	for i := range results {
		r := &results[i]
		if len(r.Ratios) == 0 {
			continue
		}
		key := r.Row + r.contender()
		if first[key] == 0 {
			first[key] = r.Ratio.Median
		}
		growth, where := r.Ratio.Median/first[key], r.Row+r.Metric+r.Layer
		switch r.Way {
		case controlName:
			off[where] = max(growth, 1/growth) - 1
		case productName:
			if noise := max(off[where], r.Noise); growth > 1+noise {
				errs = append(errs, fmt.Errorf("%s, %s, %s: grows by %.2f times what direct gRPC does, the noise is %.0f %%",
					r.Row, r.Metric, r.contender(), growth, 100*noise))
			}
		}
	}
	return errors.Join(errs...)
}

// writeGrowth writes the results of rows that growRow makes: medians of the
// ratios to direct gRPC, and of those to the same contender with the first
// size, in the same round.
func writeGrowth(w io.Writer, results []result) error {
	m := thisMachine()
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d cores, %s\n", m.Go, m.Platform, m.Cores, m.CPU)
	fmt.Fprintf(&b, "the mean time of a call of 100 B, %d at a time, on all ClientConns in turns; "+
		"with direct gRPC, each has a connection\n\n", growCalls)
	lines := [][]string{{"", "contender", "a call", "ratio to direct, min / median / max", "to the first size"}}
	smallest := make(map[string][]float64)
	last := ""
	for i := range results {
		r := &results[i]
		key := r.Row + r.contender()
		if smallest[key] == nil {
			smallest[key] = r.Values
		}
		label := r.Row + ": " + r.Metric
		if label == last {
			label = ""
		} else {
			last = label
		}
		growth := summarize(ratios(r.Values, smallest[key])).Median
		lines = append(lines, []string{
			label, r.contender(), r.Unit.format(r.Median), r.ratioText(), fmt.Sprintf("%.2f", growth),
		})
	}
	writeTable(&b, lines)
	_, err := io.WriteString(w, b.String())
	return err
}
