package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// sample is what the process holds at a quiet point.
type sample struct {
	at          time.Duration
	goroutines  int
	descriptors int
	heap        uint64 // bytes
	objects     uint64 // on the heap
	rss         uint64 // bytes
}

// quantity is something that may not grow by more than slack and a part of
// what it was.
type quantity struct {
	name  string
	of    func(sample) float64
	unit  float64
	slack float64
	part  float64
}

const mib = 1 << 20

// quantities returns what is looked at.
//
// Goroutines and descriptors are counted when those that are about to end have
// ended, so that they are the same at each quiet point; what is late once does
// not move a median. One more is a connection that is just being dialled again.
// The heap has tables in it that gRPC and TLS keep for each connection and that
// differ a little from one to the next, and what a pool had in use. Resident
// memory is told and not judged: when the runtime gives memory back is its own
// affair.
func quantities() []quantity {
	return []quantity{
		{"goroutines", func(s sample) float64 { return float64(s.goroutines) }, 1, 1, 0},
		{"descriptors", func(s sample) float64 { return float64(s.descriptors) }, 1, 1, 0},
		{"heap, MiB", func(s sample) float64 { return float64(s.heap) }, mib, mib, 0.03},
		{"objects", func(s sample) float64 { return float64(s.objects) }, 1, 1000, 0.03},
		{"resident, MiB", func(s sample) float64 { return float64(s.rss) }, mib, math.Inf(1), 0},
	}
}

const (
	minWarmUp  = 3 // samples
	minCounted = 9
)

// counted returns the samples without those of the warm-up: a fifth of them.
func counted(samples []sample) []sample {
	return samples[min(max(minWarmUp, len(samples)/5), len(samples)):]
}

// growth compares the medians of the first and the last third.
type growth struct {
	quantity
	first, last float64
}

func (q quantity) growth(samples []sample) growth {
	third := len(samples) / 3
	return growth{q, q.median(samples[:third]), q.median(samples[len(samples)-third:])}
}

func (q quantity) median(samples []sample) float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, q.of(s))
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func (g growth) allowed() float64 { return g.slack + g.part*g.first }
func (g growth) grew() bool       { return g.last-g.first > g.allowed() }

// judge prints what became of each quantity, and returns those that grew.
func judge(to io.Writer, all []sample) (grew []string, err error) {
	samples := counted(all)
	if len(samples) < minCounted {
		return nil, fmt.Errorf("%d samples after the warm-up are too few: %d are needed", len(samples), minCounted)
	}
	w := table(to)
	defer w.Flush()
	fmt.Fprintf(w, "%d samples\tfirst third\tlast third\tgrowth\tallowed\t\n", len(samples))
	for _, q := range quantities() {
		g, verdict := q.growth(samples), ""
		if g.grew() {
			grew, verdict = append(grew, q.name), "GREW"
		}
		fmt.Fprintf(w, "%s\t%.5g\t%.5g\t%+.3g\t%.3g\t%s\t\n",
			q.name, g.first/q.unit, g.last/q.unit, (g.last-g.first)/q.unit, g.allowed()/q.unit, verdict)
	}
	return grew, nil
}
