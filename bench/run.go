package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"time"
)

// patience is by how much a slice may overrun before it counts as hung.
const patience = 30 * time.Second

// A runner runs rows.
type runner struct {
	rounds   int
	slice    time.Duration
	warmUp   bool // one round more, first, that does not count
	pair     security
	codec    codec
	progress io.Writer
}

// entrant is a contender in a row.
type entrant struct {
	stack  *stack
	load   load
	values [][]float64 // by metric, then by round
	err    error       // what put it out of the row
}

// run runs one row with all of list in turns. The results are in the order of
// the row's metrics and, within, of list; a contender that failed is left out
// of them and part of the error.
func (r *runner) run(ctx context.Context, row row, list []contender) ([]result, error) {
	entrants := make([]*entrant, len(list))
	for i, c := range list {
		entrants[i] = r.enter(ctx, row, c)
	}
	r.play(ctx, row, entrants)
	var errs []error
	for i, e := range entrants {
		if err := e.close(); e.err == nil {
			e.err = err
		}
		if e.err != nil {
			errs = append(errs, fmt.Errorf("%s, %v: %w", row.name, list[i], e.err))
		}
	}
	return collect(row, list, entrants), errors.Join(errs...)
}

// enter starts c and its load.
func (r *runner) enter(ctx context.Context, row row, c contender) *entrant {
	e := &entrant{values: make([][]float64, len(row.metrics))}
	ctx, cancel := withPatience(ctx, 0)
	defer cancel()
	labels := pprof.Labels("row", row.name, "contender", c.String())
	pprof.Do(ctx, labels, func(ctx context.Context) {
		if e.stack, e.err = c.start(ctx, r.pair, r.codec); e.err == nil {
			e.load, e.err = row.prepare(ctx, e.stack)
		}
	})
	return e
}

// play plays the rounds.
func (r *runner) play(ctx context.Context, row row, entrants []*entrant) {
	warmUp, rounds := 0, r.rounds
	if r.warmUp {
		warmUp = 1
	}
	if row.steady {
		rounds = (rounds + 4) / 5
	}
	shuffle := rand.New(rand.NewPCG(1, 2)) // the same orders in each run
	begin := time.Now()
	for round := range warmUp + rounds {
		for _, i := range shuffle.Perm(len(entrants)) {
			entrants[i].play(ctx, row, r.slice, round >= warmUp)
		}
		if round == 0 {
			all := time.Since(begin) * time.Duration(warmUp+rounds)
			fmt.Fprintf(r.progress, "%s: %d contenders, about %v\n", row.name, len(entrants), all.Round(time.Second))
		}
	}
}

// play works for one slice and keeps the values if it counts. Garbage that
// others left is collected first.
func (e *entrant) play(ctx context.Context, row row, d time.Duration, counts bool) {
	if e.err != nil {
		return
	}
	runtime.GC()
	ctx, cancel := withPatience(ctx, d)
	defer cancel()
	var values []float64
	labels := pprof.Labels("row", row.name, "contender", e.stack.String())
	pprof.Do(ctx, labels, func(ctx context.Context) { values, e.err = e.load.slice(ctx, d) })
	if e.err != nil || !counts {
		return
	}
	for i, v := range values {
		e.values[i] = append(e.values[i], v)
	}
}

// close closes what enter opened.
func (e *entrant) close() error {
	var errs []error
	if e.load != nil {
		errs = append(errs, e.load.Close())
	}
	if e.stack != nil {
		errs = append(errs, e.stack.Close())
	}
	return errors.Join(errs...)
}

// withPatience returns a context that ends long after d. It has no deadline
// of its own, for gRPC would send that along with each call.
func withPatience(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(2*d+patience, func() { cancel(errors.New("took too long")) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}
