package main

import (
	"fmt"
	"math"
	"strconv"
)

// Sizes of the plot of growth, in pixels.
const (
	growLeft   = 64 // of a panel, for the labels of its scale
	growWidth  = 300
	growHeight = 220
	growTop    = 92
	growBottom = 56
)

// growMarks says how the contenders look in it.
var growMarks = []struct{ way, layer, colour, dash string }{
	{baselineName, "TCP", plotGrid, ""},
	{productName, "TCP", "#e0483e", ""},
	{baselineName, "TLS", plotGrid, "5 4"},
	{productName, "TLS", "#e0483e", "5 4"},
}

// growthSVG returns the plot of rows that growRow makes: the time of a call over
// the number of streams or sessions.
func growthSVG(results []result) []byte {
	rows := map[string][]*result{}
	var names []string
	most := 0.0
	for i := range results {
		r := &results[i]
		if rows[r.Row] == nil {
			names = append(names, r.Row)
		}
		rows[r.Row] = append(rows[r.Row], r)
		most = max(most, r.Median)
	}
	p := &plot{}
	width := len(names)*(growLeft+growWidth) + plotGap
	height := growTop + growHeight + growBottom
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" `+
		`font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12" fill="%s">`+"\n",
		width, height, width, height, plotText)
	p.printf("<title>How the time of a call grows</title>\n")
	p.printf(`<text x="%d" y="22" font-size="15" font-weight="600">How the time of a call grows</text>`+"\n", plotGap)
	x := plotGap
	for _, m := range growMarks {
		p.printf(`<line x1="%d" x2="%d" y1="44" y2="44" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`, x, x+24, m.colour, m.dash)
		p.text(x+30, 48, "start", m.way+" "+m.layer)
		x += 130
	}
	for i, name := range names {
		p.growth(name, rows[name], i*(growLeft+growWidth)+growLeft, most)
	}
	p.printf("</svg>\n")
	return p.Bytes()
}

// growth draws one row's panel, whose left edge is at x. most is the longest
// time, in seconds.
func (p *plot) growth(name string, results []*result, x int, most float64) {
	step := math.Pow(10, math.Floor(math.Log10(most)))
	if most/step < 3 {
		step /= 2
	}
	top := math.Ceil(most/step) * step
	at := func(seconds float64) float64 { return growTop + growHeight*(1-seconds/top) }
	p.printf(`<text x="%d" y="%d" font-weight="600">%s</text>`+"\n", x, growTop-14, name)
	for tick := 0.0; tick <= top*1.001; tick += step {
		p.printf(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="%s" stroke-opacity="0.35"/>`+"\n",
			x, x+growWidth-plotGap, at(tick), at(tick), plotGrid)
		p.text(x-8, int(at(tick))+4, "end", fmt.Sprintf("%.0f µs", tick*1e6))
	}
	largest := 1.0
	for _, r := range results {
		n, _ := strconv.ParseFloat(r.Metric, 64)
		largest = max(largest, n)
	}
	across := func(metric string) float64 {
		n, _ := strconv.ParseFloat(metric, 64)
		return float64(x) + float64(growWidth-2*plotGap)*math.Log(n)/math.Log(max(largest, 2))
	}
	labelled := map[string]bool{}
	for _, m := range growMarks {
		var points string
		for _, r := range results {
			if r.Way != m.way || r.Layer != m.layer {
				continue
			}
			points += fmt.Sprintf("%.1f,%.1f ", across(r.Metric), at(r.Median))
			p.printf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", across(r.Metric), at(r.Median), m.colour)
			if !labelled[r.Metric] {
				labelled[r.Metric] = true
				p.text(int(across(r.Metric)), growTop+growHeight+18, "middle", r.Metric)
			}
		}
		p.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="%s"/>`+"\n", points, m.colour, m.dash)
	}
}
