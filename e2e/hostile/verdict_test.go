package main

import (
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var sorted []time.Duration
	for i := range 200 {
		sorted = append(sorted, time.Duration(i+1))
	}
	for _, c := range []struct {
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		{nil, 99, 0},
		{sorted[:1], 50, 1},
		{sorted[:1], 99, 1},
		{sorted, 50, 100},
		{sorted, 99, 198},
		{sorted, 100, 200},
	} {
		if got := percentile(c.of, c.p); got != c.want {
			t.Errorf("%v%% of %d: got %d, want %d", c.p, len(c.of), got, c.want)
		}
	}
}

// good is the result of an attack that did no harm.
func good() *result {
	calls := spread{Calls: 100, P99: time.Millisecond}
	return &result{
		Quiet: sample{Resident: 20 << 20, Goroutines: 50}, Peak: sample{Resident: 84 << 20},
		QuietCalls: calls, HonestCalls: calls, FreshDials: calls, Recovered: true,
	}
}

func TestJudge(t *testing.T) {
	b := bounds{Memory: 64 << 20, Ratio: 3, Recovery: 10 * time.Second}
	for name, c := range map[string]struct {
		change func(*result)
		want   string // in the only failure; "" means none
	}{
		"good":        {func(*result) {}, ""},
		"memory":      {func(r *result) { r.Peak.Resident += 1 << 20 }, "memory +65 MB"},
		"slow":        {func(r *result) { r.HonestCalls.P99 = 4 * time.Millisecond }, "p99 4.0 times"},
		"not slow":    {func(r *result) { r.HonestCalls.P99 = 3 * time.Millisecond }, ""},
		"errors":      {func(r *result) { r.HonestCalls.Errors = 2 }, "2 honest calls failed"},
		"dials":       {func(r *result) { r.FreshDials.Errors = 1 }, "1 fresh dials failed"},
		"idle":        {func(r *result) { r.FreshDials.Calls = 0 }, "nothing was called"},
		"not quiet":   {func(r *result) { r.Recovered = false }, "not back to quiet"},
		"what it did": {func(r *result) { r.Did.Broken = []string{"a breach"} }, "a breach"},
	} {
		r := good()
		c.change(r)
		got := r.judge(b)
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: got %q, want none", name, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestFloorOfP99(t *testing.T) {
	r := good()
	r.HonestCalls.P99 = 100 * time.Millisecond
	if got := r.judge(bounds{Memory: 64 << 20, Ratio: 3, Floor: 250 * time.Millisecond}); len(got) > 0 {
		t.Errorf("got %q, want none below the floor", got)
	}
}

func TestIsQuiet(t *testing.T) {
	quiet := sample{Heap: 5 << 20, Stacks: 1 << 20, Goroutines: 50, Descriptors: 20}
	for name, c := range map[string]struct {
		now  sample
		want bool
	}{
		"the same":    {quiet, true},
		"less":        {sample{}, true},
		"goroutines":  {sample{Goroutines: 71}, false},
		"descriptors": {sample{Descriptors: 29}, false},
		"memory":      {sample{Heap: 10 << 20, Stacks: 5 << 20}, false},
		"resident":    {sample{Resident: 1 << 30}, true}, // Go gives it back late
	} {
		if got := isQuiet(c.now, quiet); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestAttacksHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range attacks() {
		if seen[a.name] || a.name == "" || a.does == "" || a.run == nil {
			t.Errorf("got %q, want a name, what it does, and that once", a.name)
		}
		seen[a.name] = true
	}
}

func TestTallyKeepsTheOrder(t *testing.T) {
	var c tally
	c.add("b", 1)
	c.add("a", 2)
	c.add("b", 3)
	if got, want := c.account().String(), "4 b, 2 a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
