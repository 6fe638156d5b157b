package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"
)

// grown returns results of a row with two sizes, over TCP, where calls of the
// product take factor times longer at the second, and of direct gRPC twice.
func grown(factor, again float64) []result {
	var results []result
	for _, c := range []struct {
		way    string
		growth float64
	}{{baselineName, 2}, {controlName, 2 * again}, {productName, 2 * factor}} {
		for i, size := range []string{"1", "100"} {
			values, base := []float64{1, 1, 1}, []float64{1, 1, 1}
			if i == 1 {
				values, base = []float64{c.growth, c.growth, c.growth}, []float64{2, 2, 2}
			}
			r := result{Row: "streams", Metric: size, Unit: duration, Lower: true, Way: c.way, Layer: "TCP", Values: values}
			r.compare(base, base)
			results = append(results, r)
		}
	}
	return results
}

func TestGrowthMissed(t *testing.T) {
	for _, tt := range []struct {
		factor, again float64
		missed        bool
	}{
		{1, 1, false},
		{0.5, 1, false},
		{1.1, 1, true},
		{1.1, 1.2, false},
		{1.1, 0.8, false},
	} {
		if err := growthMissed(grown(tt.factor, tt.again)); (err != nil) != tt.missed {
			t.Errorf("%v: got %v", tt, err)
		}
	}
}

func TestGrowthSVG(t *testing.T) {
	d := xml.NewDecoder(bytes.NewReader(growthSVG(grown(1, 1))))
	lines := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != len(growMarks) {
		t.Errorf("got %d lines, want %d", lines, len(growMarks))
	}
}
