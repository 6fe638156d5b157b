package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints the table, and what was done and went wrong. It returns whether
// nothing did.
func report(to io.Writer, results []*result) bool {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "attack\tRSS\tgoroutines\tCPUs\tcalls\terrors\tp50\tp99\tquiet p99\tratio\tfresh\terrors\tworst\tquiet after\tverdict")
	ok := true
	for _, r := range results {
		verdict, after := "ok", round(r.Recovery).String()
		if len(r.Failures) > 0 {
			verdict, ok = "FAIL", false
		}
		if !r.Recovered {
			after = "never"
		}
		h, f := r.HonestCalls, r.FreshDials
		fmt.Fprintf(w, "%s\t%s\t%+d\t%.1f\t%d\t%d\t%v\t%v\t%v\t%.1f\t%d\t%d\t%v\t%s\t%s\n", r.Name,
			signedMega(r.Peak.Resident-r.Quiet.Resident), r.Peak.Goroutines-r.Quiet.Goroutines, r.processors(),
			h.Calls, h.Errors, round(h.Median), round(h.P99), round(r.QuietCalls.P99), r.ratio(),
			f.Calls, f.Errors, round(f.Worst), after, verdict)
	}
	_ = w.Flush()
	for _, r := range results {
		fmt.Fprintf(to, "\n%s, %v, try %d: %s\n", r.Name, round(r.Took), r.Tries, r.Did)
		if len(r.Failures) > 0 {
			fmt.Fprintf(to, "  FAIL: %s\n", strings.Join(r.Failures, "; "))
		}
		for _, text := range append(r.HonestCalls.Texts, r.FreshDials.Texts...) {
			fmt.Fprintf(to, "  error: %s\n", text)
		}
	}
	return ok
}

func round(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
