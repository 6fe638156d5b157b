package main

import (
	"fmt"
	"time"
)

// bounds are what a server has to keep under attack.
type bounds struct {
	Memory   int64         // bytes beyond quiet times
	Ratio    float64       // of the honest callers' p99 to the quiet one
	Floor    time.Duration // a p99 up to this is never too long
	Recovery time.Duration
}

// A result is what one attack did. Durations are in nanoseconds.
type result struct {
	Name, Does string
	Did        account
	Took       time.Duration

	Quiet, Peak sample // the highest values of each
	QuietCalls  spread
	HonestCalls spread
	FreshDials  spread

	Recovered bool
	Recovery  time.Duration
	After     sample // when it had recovered, or was given up

	Tries    int // this is the last of so many
	Failures []string
}

// ratio is how many times longer the honest callers' p99 was.
func (r *result) ratio() float64 {
	if r.QuietCalls.P99 == 0 {
		return 0
	}
	return float64(r.HonestCalls.P99) / float64(r.QuietCalls.P99)
}

// processors is how many the server kept busy during the attack.
func (r *result) processors() float64 {
	return float64(r.Peak.Processor-r.Quiet.Processor) / float64(max(r.Took, 1))
}

// isSlow reports whether the honest callers' p99 broke its bound.
func (r *result) isSlow(b bounds) bool {
	return r.ratio() > b.Ratio && r.HonestCalls.P99 > b.Floor
}

// judge returns which bounds were broken.
func (r *result) judge(b bounds) (failures []string) {
	fail := func(format string, args ...any) { failures = append(failures, fmt.Sprintf(format, args...)) }
	if more := r.Peak.Resident - r.Quiet.Resident; more > b.Memory {
		fail("memory +%s, at most +%s", mega(more), mega(b.Memory))
	}
	if n := r.HonestCalls.Errors; n > 0 {
		fail("%d honest calls failed", n)
	}
	if n := r.FreshDials.Errors; n > 0 {
		fail("%d fresh dials failed", n)
	}
	if r.HonestCalls.Calls == 0 || r.QuietCalls.Calls == 0 || r.FreshDials.Calls == 0 {
		fail("nothing was called")
	}
	if r.isSlow(b) {
		fail("p99 %.1f times the quiet one, at most %.1f", r.ratio(), b.Ratio)
	}
	if !r.Recovered {
		fail("not back to quiet after %v: %s", b.Recovery, difference(r.After, r.Quiet))
	}
	return append(failures, r.Did.Broken...)
}

// What may be more after an attack than in quiet times.
const (
	spareGoroutines  = 20
	spareDescriptors = 8
	spareMemory      = 8 << 20
)

// isQuiet reports whether a server that uses now is back to quiet.
func isQuiet(now, quiet sample) bool {
	return now.Goroutines <= quiet.Goroutines+spareGoroutines &&
		now.Descriptors <= quiet.Descriptors+spareDescriptors &&
		now.used() <= quiet.used()+spareMemory
}

// difference says what now has beyond quiet.
func difference(now, quiet sample) string {
	return fmt.Sprintf("%+d goroutines, %+d descriptors, %s of heap and stacks",
		now.Goroutines-quiet.Goroutines, now.Descriptors-quiet.Descriptors, signedMega(now.used()-quiet.used()))
}

func mega(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/(1<<20)) }

func signedMega(n int64) string { return fmt.Sprintf("%+.0f MB", float64(n)/(1<<20)) }
