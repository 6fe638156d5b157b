package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"culvert/e2e/chaos/relay"
)

// cuts is how many there were, and of each kind.
func (w *world) cuts() (made int, kinds [relay.Kinds]int) {
	for _, c := range w.cutters {
		counts := c.Counts()
		made += counts.Made
		for k, n := range counts.Kind {
			kinds[k] += n
		}
	}
	return made, kinds
}

// line tells how far the run is.
func (s *stage) line(x sample) {
	cuts, _ := s.world.cuts()
	fmt.Fprintf(s.stderr, "%4.0f s: %d ops, %d cuts, %d faults; ",
		x.at.Seconds(), s.load.ops(nil, ""), cuts, s.load.faults.count())
	fmt.Fprintf(s.stderr, "%d goroutines, %d descriptors, heap %.2f MiB in %d objects, resident %d MiB\n",
		x.goroutines, x.descriptors, float64(x.heap)/mib, x.objects, x.rss/mib)
}

// report prints what was done.
func (s *stage) report() {
	w := table(s.stdout)
	defer w.Flush()
	fmt.Fprintf(w, "ops\t")
	for _, way := range s.world.ways {
		fmt.Fprintf(w, "%s\t", way.name)
	}
	fmt.Fprintln(w)
	for _, op := range s.load.kinds() {
		fmt.Fprintf(w, "%s\t", op)
		for _, way := range s.world.ways {
			fmt.Fprintf(w, "%d\t", s.load.ops(way, op))
		}
		fmt.Fprintln(w)
	}
	made, kinds := s.world.cuts()
	fmt.Fprintf(w, "\t\ncuts\t%d\t\n", made)
	for k, n := range kinds {
		fmt.Fprintf(w, "%s\t%d\t\n", relay.Kind(k), n)
	}
	fmt.Fprintf(w, "\t\nrun time\t%v\t\nseed\t%d\t\n\t\n", time.Since(s.quiet.began).Round(time.Second), s.seed)
}

func table(to io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(to, 0, 4, 2, ' ', tabwriter.AlignRight)
}
