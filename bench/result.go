package main

// A result is what one contender reached in one metric of a row.
type result struct {
	Row    string    `json:"row"`
	Metric string    `json:"metric,omitempty"`
	Unit   unit      `json:"unit"`
	Lower  bool      `json:"lower_is_better"`
	Bound  float64   `json:"bound,omitempty"` // of the product's ratio
	Over   float64   `json:"over,omitempty"`  // or of what the product has more than the direct way
	Way    string    `json:"contender"`
	Layer  string    `json:"layer"`
	Values []float64 `json:"values"` // by round
	Median float64   `json:"median"`
	Ratios []float64 `json:"ratios,omitempty"` // to the direct way in the same round
	Ratio  summary   `json:"ratio"`
	More   []float64 `json:"more,omitempty"`  // than the direct way in the same round, if Over is set
	Noise  float64   `json:"noise,omitempty"` // a part of the ratio, or if Over is set a difference
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
		base, control := make(map[bool][]float64), make(map[bool][]float64)
		for j, c := range list {
			switch {
			case entrants[j].err != nil:
			case c.way.name == baselineName:
				base[c.secure] = entrants[j].values[i]
			case c.way.name == controlName:
				control[c.secure] = entrants[j].values[i]
			}
		}
		for j, c := range list {
			if entrants[j].err != nil {
				continue
			}
			r := result{
				Row: row.name, Metric: m.name, Unit: m.unit, Lower: m.unit.lowerIsBetter(), Bound: m.bound, Over: m.over,
				Way: c.way.name, Layer: c.layer(), Values: entrants[j].values[i],
			}
			r.compare(base[c.secure], control[c.secure])
			results = append(results, r)
		}
	}
	return results
}

// compare sets what comes of the values and those of the direct way and of its
// equal, the control.
func (r *result) compare(base, control []float64) {
	r.Median = summarize(r.Values).Median
	r.Ratios = ratios(r.Values, base)
	r.Ratio = summarize(r.Ratios)
	if r.Over == 0 {
		r.Noise = strayedRatios(ratios(control, base))
		return
	}
	r.More = differences(r.Values, base)
	r.Noise = strayed(differences(control, base))
}
