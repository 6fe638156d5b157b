package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"culvert/e2e/chaos/relay"
)

// gaps measures how long the load stood still. The gap of a cut is the time
// from the moment at which the client's side was closed, so that the client
// can know, to the end of the first unary call that began after the first byte
// was withheld: all of that call went over a new connection. The outage is the
// same from that first byte on; it has in it the time for which the relay
// pretended that all is well. If the new connection was cut as well before a
// call passed, both go on.
type gaps struct {
	pending atomic.Int32
	mu      sync.Mutex
	open    []relay.Record
	gaps    [relay.Kinds][]time.Duration
	outages [relay.Kinds][]time.Duration
}

// add begins the gap of a cut.
func (g *gaps) add(r relay.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = append(g.open, r)
	g.pending.Store(int32(len(g.open)))
}

// completed tells of a call that has just ended well.
func (g *gaps) completed(began time.Time) {
	if g.pending.Load() == 0 {
		return
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = slices.DeleteFunc(g.open, func(r relay.Record) bool {
		if !began.After(r.Start) {
			return false
		}
		g.gaps[r.Kind] = append(g.gaps[r.Kind], now.Sub(r.Seen))
		g.outages[r.Kind] = append(g.outages[r.Kind], now.Sub(r.Start))
		return true
	})
	g.pending.Store(int32(len(g.open)))
}

// spread is what the tables show of durations.
type spread struct {
	n                int
	median, p99, max time.Duration
}

// spreads returns those of all cuts, those of the gaps by kind, and how many
// gaps have not ended.
func (g *gaps) spreads() (gap, outage spread, byKind [relay.Kinds]spread, open int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, ds := range g.gaps {
		byKind[k] = spreadOf(ds)
	}
	return spreadOf(slices.Concat(g.gaps[:]...)), spreadOf(slices.Concat(g.outages[:]...)), byKind, len(g.open)
}

func spreadOf(ds []time.Duration) spread {
	if len(ds) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(ds))
	return spread{len(s), s[len(s)/2], s[(len(s)*99+99)/100-1], s[len(s)-1]}
}
