package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

// scale is what -scale measures: how the product and direct gRPC do as there
// is more of everything.
type scale struct {
	streams  []int // ClientConns of one client
	sessions []int // clients with one ClientConn each
	idle     idleServer
	list     []contender
	runner   *runner
	plot     string // the file for the plot of growth, "" for none
}

// growthPlot is where the plot of growth goes by default.
const growthPlot = "../docs/growth.svg"

// Bounds of what a server spends on an idle tunnel, and on all of them.
const (
	residentBound = 100e3 // bytes each
	idleCPUBound  = 0.05  // of a core
)

// runScale measures and prints tables.
func (o *options) runScale(stdout, stderr io.Writer) error {
	pair, err := newSecurity()
	if err != nil {
		return err
	}
	s := &scale{
		streams:  []int{1, 10, 100, 250},
		sessions: []int{1, 100, 1000},
		idle:     idleServer{Connections: o.tunnels, Ping: 20 * time.Second, lasts: time.Minute},
		runner: &runner{
			rounds: o.rounds, slice: o.slice, warmUp: !o.smoke,
			pair: pair, codec: codec{copies: !o.lends}, progress: stderr,
		},
	}
	if o.smoke {
		s.streams, s.sessions = []int{1, 4}, []int{1, 4}
		s.idle.Ping, s.idle.lasts = 500*time.Millisecond, 2*time.Second
	}
	for _, c := range contenders(o.contenders) {
		if c.way.name == baselineName || c.way.name == productName || c.way.name == controlName {
			s.list = append(s.list, c)
		}
	}
	if s.plot = o.plot; s.plot == defaultPlot {
		s.plot = growthPlot
	}
	return s.run(stdout, o.check)
}

// run prints each table when it is complete. If checks is set, a bound that is
// missed is an error.
func (s *scale) run(stdout io.Writer, checks bool) error {
	ctx := context.Background()
	var results []result
	var errs []error
	for _, r := range []row{
		growRow("streams of one session", s.streams, (*stack).conns),
		growRow("sessions", s.sessions, (*stack).sessionsOf),
	} {
		part, err := s.runner.run(ctx, r, s.list)
		results = append(results, part...)
		errs = append(errs, err)
	}
	if err := writeGrowth(stdout, results); err != nil {
		return err
	}
	if s.plot != "" {
		errs = append(errs, os.WriteFile(s.plot, growthSVG(results), 0o644))
	}
	if checks {
		errs = append(errs, growthMissed(results))
	}
	idle, err := s.idle.measureAll(ctx, slices.DeleteFunc(slices.Clone(s.list), func(c contender) bool {
		return c.way.name == controlName
	}), s.runner)
	errs = append(errs, err, s.idle.write(stdout, idle))
	for i := range idle {
		if checks {
			errs = append(errs, idle[i].missed())
		}
	}
	return errors.Join(errs...)
}
