package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"culvert/e2e/chaos/relay"
)

// report prints the tables, and returns whether all went well.
func (s *stage) report(took time.Duration, leaked int) bool {
	to := s.stdout
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(w, "%s\t%v\n", name, value) }
	b, cuts := s.book, s.cutter.Counts()
	row("cuts", fmt.Sprintf("%d of %d", cuts.Made, s.cuts))
	gap, outage, byKind, open := s.gaps.spreads()
	for k, n := range cuts.Kind {
		row("  "+relay.Kind(k).String(), fmt.Sprintf("%d\tgap: %v", n, byKind[k]))
	}
	row("cuts without bytes to cut", cuts.Idle)
	row("connections that carried", s.relay.Carried())
	row("messages echoed", b.echoed.Load())
	row("down", fmt.Sprintf("%d MiB in %d messages", b.downBytes.Load()>>20, b.downCount.Load()))
	row("up", fmt.Sprintf("%d MiB in %d messages", b.upBytes.Load()>>20, b.upCount.Load()))
	row("unary calls", b.unary.Load())
	row("cuts the client saw", b.noticed.Load())
	row("resumed", fmt.Sprintf("%d, %.1f KiB sent again", b.resumed.Load(), float64(b.replayed.Load())/1024))
	row("tunnels lost", b.tunnelLost.Load())
	row("gap", gap)
	row("outage", outage)
	if open > 0 {
		row("gaps without end", open)
	}
	counts, total, shown := b.count()
	for f, n := range counts {
		row(fault(f).String(), n)
	}
	row("goroutines left", leaked)
	row("run time", took.Round(time.Millisecond))
	row("seed", s.seed)
	_ = w.Flush()
	for _, line := range shown {
		fmt.Fprintln(to, line)
	}
	if total > shownFaults {
		fmt.Fprintln(to, "...")
	}
	return total == 0 && cuts.Made >= s.cuts
}

func (s spread) String() string {
	if s.n == 0 {
		return "none"
	}
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("median %v, p99 %v, max %v", round(s.median), round(s.p99), round(s.max))
}
