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

// set is how many rounds are played on the same connections.
const set = 6

// A runner runs rows.
type runner struct {
	rounds   int
	slice    time.Duration
	warmUp   bool // before each set, one round that does not count
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
	list = row.among(list)
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

// enter starts c.
func (r *runner) enter(ctx context.Context, row row, c contender) *entrant {
	e := &entrant{values: make([][]float64, len(row.metrics))}
	labels := pprof.Labels("row", row.name)
	pprof.Do(ctx, labels, func(ctx context.Context) { e.stack, e.err = c.start(ctx, r.pair, r.codec) })
	return e
}

// play plays the rounds, in sets that begin with new connections: no two
// connections are of quite the same speed, even if all else is the same.
func (r *runner) play(ctx context.Context, row row, entrants []*entrant) {
	rounds := r.rounds
	if row.steady {
		rounds = (rounds + 4) / 5
	}
	shuffle := rand.New(rand.NewPCG(1, 2)) // the same orders in each run
	turns := func(counts bool) {
		for _, i := range shuffle.Perm(len(entrants)) {
			entrants[i].play(ctx, row, r.slice, counts)
		}
	}
	for round := range rounds {
		begin := time.Now()
		if round%set == 0 {
			for _, e := range entrants {
				e.connect(ctx, row)
			}
			if r.warmUp {
				turns(false)
			}
		}
		turns(true)
		if round == 1 || rounds == 1 {
			all := time.Since(begin) * time.Duration(rounds+(rounds+set-1)/set)
			fmt.Fprintf(r.progress, "%s: %d contenders, about %v\n", row.name, len(entrants), all.Round(time.Second))
		}
	}
}

// connect gives e a new load.
func (e *entrant) connect(ctx context.Context, row row) {
	if e.err != nil {
		return
	}
	if e.load != nil {
		e.err = e.load.Close()
		e.load = nil
	}
	if e.err != nil {
		return
	}
	ctx, cancel := withPatience(ctx, 0)
	defer cancel()
	labels := pprof.Labels("row", row.name, "contender", e.stack.String())
	pprof.Do(ctx, labels, func(ctx context.Context) { e.load, e.err = row.prepare(ctx, e.stack) })
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

// close closes what enter and connect opened.
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
