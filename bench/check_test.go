package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checked returns the results of a row in which direct gRPC has 10 in each
// round, and the control and the product what is given.
func checked(m metric, control, product []float64) []result {
	list := []contender{{way{name: baselineName}, false}, {way{name: productName}, false}}
	entrants := []*entrant{{values: [][]float64{slices.Repeat([]float64{10}, len(product))}}, {values: [][]float64{product}}}
	if control != nil {
		list = append(list, contender{way{name: controlName}, false})
		entrants = append(entrants, &entrant{values: [][]float64{control}})
	}
	return collect(row{name: "a row", metrics: []metric{m}}, list, entrants)
}

// TestCheckAgainstNoise misses bounds by less and by more than the control is
// off.
func TestCheckAgainstNoise(t *testing.T) {
	var (
		slower = metric{unit: duration, bound: 1.1}
		fewer  = metric{unit: callRate, bound: 0.9}
		more   = metric{unit: count, over: 4}
		free   = metric{unit: duration}

		quiet = []float64{10, 10, 10, 10, 10}
		off   = []float64{10.5, 10.5, 10.5, 10.5, 10.5} // by 5 %, or by half a unit
		below = []float64{9.5, 9.5, 9.5, 9.5, 9.5}      // by as much or a little more
		wide  = []float64{5, 8, 10, 12.5, 20}           // half of the interquartile range is 25 %, or 2.25 units
		wild  = []float64{25, 25, 25, 25, 25}
		alone = []float64(nil)
	)
	tests := []struct {
		metric  metric
		control []float64
		product float64
		want    verdict
	}{
		{slower, quiet, 10.9, kept},
		{slower, quiet, 11.1, missed},
		{slower, alone, 11.1, missed},
		{slower, off, 11.5, within},
		{slower, off, 11.6, missed},
		{slower, below, 11.5, within},
		{slower, below, 11.6, missed},
		{slower, wide, 13.7, within},
		{slower, wide, 13.8, missed},
		{slower, wild, 28, missed},
		{slower, off, 5, kept},
		{fewer, quiet, 9.1, kept},
		{fewer, quiet, 8.9, missed},
		{fewer, alone, 8.9, missed},
		{fewer, off, 8.6, within},
		{fewer, off, 8.5, missed},
		{fewer, below, 8.6, within},
		{fewer, below, 8.5, missed},
		{fewer, wide, 7.3, within},
		{fewer, wide, 7.1, missed},
		{fewer, wild, 3.5, missed}, // whatever the noise, some value is a miss
		{fewer, off, 20, kept},
		{more, quiet, 13.9, kept},
		{more, quiet, 14.1, missed},
		{more, alone, 14.1, missed},
		{more, off, 14.4, within},
		{more, off, 14.6, missed},
		{more, below, 14.4, within},
		{more, below, 14.6, missed},
		{more, wide, 16.2, within},
		{more, wide, 16.3, missed},
		{more, quiet, 2, kept},
		{free, quiet, 99, unbound},
	}
	for _, tt := range tests {
		results := checked(tt.metric, tt.control, slices.Repeat([]float64{tt.product}, 5))
		if got := results[1].verdict(); got != tt.want {
			t.Errorf("%+v, control %v, product %v: got verdict %d, want %d", tt.metric, tt.control, tt.product, got, tt.want)
		}
		misses, spared, held := check(results)
		if (len(misses) == 1) != (tt.want == missed) || (len(spared) == 1) != (tt.want == within) || (held == 1) != (tt.want != unbound) {
			t.Errorf("%+v, control %v, product %v: misses %q, spared %q of %d", tt.metric, tt.control, tt.product, misses, spared, held)
		}
		if bold := strings.Contains(results[1].ratioText(), "**"); bold != (tt.want == missed) {
			t.Errorf("%+v, control %v, product %v: shown as %q", tt.metric, tt.control, tt.product, results[1].ratioText())
		}
	}
}

// TestCheckTakesTheMedian has one round in which all is well, or nothing is.
func TestCheckTakesTheMedian(t *testing.T) {
	m := metric{unit: count, over: 4}
	if got := checked(m, nil, []float64{11, 15, 16})[1].verdict(); got != missed {
		t.Errorf("got verdict %d, want a miss", got)
	}
	if got := checked(m, nil, []float64{11, 12, 99})[1].verdict(); got != kept {
		t.Errorf("got verdict %d, want none", got)
	}
}

// TestCheckLines reads what -check prints.
func TestCheckLines(t *testing.T) {
	results := checked(metric{name: "allocations", unit: count, over: 4}, []float64{10.5}, []float64{16})
	results = append(results, checked(metric{name: "p99", unit: duration, bound: 1.1}, []float64{10.5}, []float64{11.2})...)
	misses, spared, _ := check(results)
	if want := "a row, allocations: culvert TCP is at +6.0 of direct, the bound is +4.0, the noise 0.5"; !slices.Equal(misses, []string{want}) {
		t.Errorf("got %q, want %q", misses, want)
	}
	if want := "a row, p99: culvert TCP is at 1.12 of direct, the bound is 1.10, the noise 5 %: no miss"; !slices.Equal(spared, []string{want}) {
		t.Errorf("got %q, want %q", spared, want)
	}
}

// TestOneBound checks that no metric has two bounds, of which one would go
// unchecked, and that differences are bounded only from above.
func TestOneBound(t *testing.T) {
	for _, r := range rows(regexp.MustCompile(""), 1) {
		for _, m := range r.metrics {
			if m.over != 0 && (m.bound != 0 || !m.unit.lowerIsBetter()) {
				t.Errorf("%s, %s: %+v", r.name, m.name, m)
			}
		}
	}
}
