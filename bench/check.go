package main

import "fmt"

// A verdict is how a result stands to its bound.
type verdict int

const (
	unbound verdict = iota // there is no bound, or nothing to compare with
	kept
	within // beyond the bound, but by no more than the noise
	missed
)

// verdict compares the median with the bound. The product counts as having
// missed it only if it is beyond by more than the noise that the control, which
// is direct gRPC once more, showed in the same run, row and layer. Without the
// control among the contenders the noise is taken to be zero.
func (r *result) verdict() verdict {
	if len(r.Ratios) == 0 && len(r.More) == 0 {
		return unbound
	}
	var value, limit, lenient float64 // both limits from above
	switch {
	case r.Over != 0:
		value, limit, lenient = summarize(r.More).Median, r.Over, r.Over+r.Noise
	case r.Bound == 0:
		return unbound
	case r.Lower:
		value, limit, lenient = r.Ratio.Median, r.Bound, r.Bound*(1+r.Noise)
	default:
		value, limit, lenient = -r.Ratio.Median, -r.Bound, -r.Bound/(1+r.Noise)
	}
	switch {
	case value <= limit:
		return kept
	case value <= lenient:
		return within
	}
	return missed
}

// check returns a line for each bound that the product misses, one for each
// that it is beyond by no more than the noise, and how many bounds it was held
// against.
func check(results []result) (misses, spared []string, held int) {
	for i := range results {
		r := &results[i]
		if r.Way != productName {
			continue
		}
		v := r.verdict()
		if v != unbound {
			held++
		}
		switch v {
		case within:
			spared = append(spared, r.against()+": no miss")
		case missed:
			misses = append(misses, r.against())
		}
	}
	return misses, spared, held
}

// against says how the result compares with its bound.
func (r *result) against() string {
	if r.Over != 0 {
		return fmt.Sprintf("%s: %s is at %+.1f of direct, the bound is %+.1f, the noise %.1f",
			r.label(), r.contender(), summarize(r.More).Median, r.Over, r.Noise)
	}
	return fmt.Sprintf("%s: %s is at %.2f of direct, the bound is %.2f, the noise %.0f %%",
		r.label(), r.contender(), r.Ratio.Median, r.Bound, 100*r.Noise)
}
