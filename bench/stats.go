package main

import (
	"math"
	"slices"
)

// A summary is what is left of several rounds.
type summary struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// summarize returns the summary of values, which it leaves as they are. Of no
// values all three figures are zero.
func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	s := slices.Sorted(slices.Values(values))
	return summary{s[0], quantile(s, 0.5), s[len(s)-1]}
}

// quantile returns the value below which the part q of sorted lies, halfway
// between neighbours where it must. sorted is not empty.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	if low+1 >= len(sorted) {
		return sorted[low]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}

// mean returns the arithmetic mean of values, which are not empty.
func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// ratios divides values by base, round by round.
func ratios(values, base []float64) []float64 {
	var r []float64
	for i := range min(len(values), len(base)) {
		if base[i] != 0 {
			r = append(r, values[i]/base[i])
		}
	}
	return r
}
