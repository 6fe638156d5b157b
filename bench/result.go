package main

import "fmt"

// A result is what one contender reached in one metric of a row.
type result struct {
	Row    string    `json:"row"`
	Metric string    `json:"metric,omitempty"`
	Unit   unit      `json:"unit"`
	Lower  bool      `json:"lower_is_better"`
	Bound  float64   `json:"bound,omitempty"` // of the product's ratio
	Way    string    `json:"contender"`
	Layer  string    `json:"layer"`
	Values []float64 `json:"values"` // by round
	Median float64   `json:"median"`
	Ratios []float64 `json:"ratios,omitempty"` // to the direct way in the same round
	Ratio  summary   `json:"ratio"`
}

// label names row and metric.
func (r *result) label() string {
	if r.Metric == "" {
		return r.Row
	}
	return r.Row + ", " + r.Metric
}

// contender names way and layer, as contender.String does.
func (r *result) contender() string { return r.Way + " " + r.Layer }

// missed tells whether the median ratio is beyond the bound, if there is one.
func (r *result) missed() bool {
	switch {
	case r.Bound == 0 || len(r.Ratios) == 0:
		return false
	case r.Lower:
		return r.Ratio.Median > r.Bound
	}
	return r.Ratio.Median < r.Bound
}

// speed returns the ratios turned so that more is better and 1 is as good as
// direct gRPC.
func (r *result) speed() summary {
	if !r.Lower || r.Ratio.Min <= 0 {
		return r.Ratio
	}
	return summary{1 / r.Ratio.Max, 1 / r.Ratio.Median, 1 / r.Ratio.Min}
}

// collect makes the results of a row from what its entrants measured.
func collect(row row, list []contender, entrants []*entrant) []result {
	var results []result
	for i, m := range row.metrics {
		base := make(map[bool][]float64)
		for j, c := range list {
			if c.way.name == baselineName && entrants[j].err == nil {
				base[c.secure] = entrants[j].values[i]
			}
		}
		for j, c := range list {
			if entrants[j].err != nil {
				continue
			}
			values := entrants[j].values[i]
			q := ratios(values, base[c.secure])
			results = append(results, result{
				Row: row.name, Metric: m.name, Unit: m.unit, Lower: m.unit.lowerIsBetter(), Bound: m.bound,
				Way: c.way.name, Layer: c.layer(),
				Values: values, Median: summarize(values).Median, Ratios: q, Ratio: summarize(q),
			})
		}
	}
	return results
}

// check returns a line for each bound that the product misses, and how many
// bounds it was held against.
func check(results []result) (misses []string, held int) {
	for i := range results {
		r := &results[i]
		if r.Way != productName || r.Bound == 0 || len(r.Ratios) == 0 {
			continue
		}
		held++
		if r.missed() {
			misses = append(misses, fmt.Sprintf("%s: %s is at %.2f of direct, the bound is %.2f",
				r.label(), r.contender(), r.Ratio.Median, r.Bound))
		}
	}
	return misses, held
}
