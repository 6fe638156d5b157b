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

// differences subtracts base from values, round by round.
func differences(values, base []float64) []float64 {
	var d []float64
	for i := range min(len(values), len(base)) {
		d = append(d, values[i]-base[i])
	}
	return d
}

// strayed returns how far differences that would all be zero on a machine
// without noise are from that: by their median, or by half their interquartile
// range if that is more. Of no values it is zero.
func strayed(differences []float64) float64 {
	if len(differences) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(differences))
	return max(math.Abs(quantile(s, 0.5)), (quantile(s, 0.75)-quantile(s, 0.25))/2)
}

// strayedRatios is strayed for ratios that would all be one, as a part of one:
// 0.1 if they are typically at 1.1, or at 1/1.1. Those that are no ratios of
// positive values are left out.
func strayedRatios(ratios []float64) float64 {
	var logs []float64
	for _, r := range ratios {
		if r > 0 {
			logs = append(logs, math.Log(r))
		}
	}
	return math.Expm1(strayed(logs))
}
