package main

import (
	"math"
	"slices"
	"testing"
)

func TestSummarize(t *testing.T) {
	tests := []struct {
		values []float64
		want   summary
	}{
		{nil, summary{}},
		{[]float64{3}, summary{3, 3, 3}},
		{[]float64{4, 1}, summary{1, 2.5, 4}},
		{[]float64{9, 1, 5}, summary{1, 5, 9}},
	}
	for _, tt := range tests {
		before := slices.Clone(tt.values)
		if got := summarize(tt.values); got != tt.want {
			t.Errorf("summarize(%v): got %v, want %v", before, got, tt.want)
		}
		if !slices.Equal(before, tt.values) {
			t.Errorf("summarize changed %v to %v", before, tt.values)
		}
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 101)
	for i := range hundred {
		hundred[i] = float64(i)
	}
	tests := []struct {
		sorted  []float64
		q, want float64
	}{
		{[]float64{7}, 0, 7},
		{[]float64{7}, 0.99, 7},
		{[]float64{1, 2}, 0.5, 1.5},
		{[]float64{1, 2}, 1, 2},
		{hundred, 0.99, 99},
		{hundred, 0.995, 99.5},
	}
	for _, tt := range tests {
		if got := quantile(tt.sorted, tt.q); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("quantile(%v, %v): got %v, want %v", tt.sorted, tt.q, got, tt.want)
		}
	}
}

func TestRatios(t *testing.T) {
	tests := []struct{ values, base, want []float64 }{
		{[]float64{1, 2, 3}, []float64{2, 2, 2}, []float64{0.5, 1, 1.5}},
		{[]float64{1, 2}, nil, nil},
		{[]float64{1, 2}, []float64{0, 4}, []float64{0.5}}, // a round without a base has no ratio
	}
	for _, tt := range tests {
		if got := ratios(tt.values, tt.base); !slices.Equal(got, tt.want) {
			t.Errorf("ratios(%v, %v): got %v, want %v", tt.values, tt.base, got, tt.want)
		}
	}
}

func TestStrayed(t *testing.T) {
	tests := []struct {
		differences []float64
		want        float64
	}{
		{nil, 0},
		{[]float64{0, 0, 0}, 0},
		{[]float64{0.25}, 0.25},
		{[]float64{-0.25, -0.25}, 0.25},
		{[]float64{1, -1, 0, 0.5, -0.5}, 0.5}, // from -0.5 to 0.5 are the middle three
		{[]float64{-3, 1, 2, 3, 7}, 2},
	}
	for _, tt := range tests {
		if got := strayed(tt.differences); got != tt.want {
			t.Errorf("strayed(%v): got %v, want %v", tt.differences, got, tt.want)
		}
	}
}

func TestStrayedRatios(t *testing.T) {
	tests := []struct {
		ratios []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{-1, 0}, 0},
		{[]float64{1, 1}, 0},
		{[]float64{1.25}, 0.25},
		{[]float64{1 / 1.25}, 0.25},
		{[]float64{0, 4, 4}, 3},
		{[]float64{0.1, 1 / 1.5, 1, 1.5, 10}, 0.5},
	}
	for _, tt := range tests {
		if got := strayedRatios(tt.ratios); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("strayedRatios(%v): got %v, want %v", tt.ratios, got, tt.want)
		}
	}
}

func TestUnitFormat(t *testing.T) {
	tests := []struct {
		unit unit
		v    float64
		want string
	}{
		{duration, 33.14e-6, "33.1 µs"},
		{duration, 412e-9, "412 ns"},
		{duration, 0.9996, "1.00 s"},
		{callRate, 51_400, "51.4 k calls/s"},
		{messageRate, 1_333_000, "1.33 M msgs/s"},
		{byteRate, 2.4e9, "2.40 GB/s"},
		{memory, 59_000, "59.0 kB"},
		{memory, 140, "140 B"},
		{count, 8, "8.0"},
	}
	for _, tt := range tests {
		if got := tt.unit.format(tt.v); got != tt.want {
			t.Errorf("%q.format(%v): got %q, want %q", tt.unit, tt.v, got, tt.want)
		}
	}
}
