package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// Sizes of the plot, in pixels.
const (
	plotLabels  = 276 // width of the column of row names
	plotPanel   = 330 // width of a panel
	plotGap     = 34  // between and beside panels
	plotTop     = 116 // above the first row
	plotBottom  = 44  // below the last row
	plotLine    = 12  // height of a contender's line
	plotPadding = 14  // between rows
)

// plotMax is the speed at the right edge of a panel; what is faster sits on
// the edge.
const plotMax = 1.5

// Colours that can be told apart on white and on black alike.
const (
	plotText = "#717b86"
	plotGrid = "#8c959f"
)

// marks says how the ways look in the plot, in the order of the legend.
var marks = []struct{ way, colour, text string }{
	{productName, "#e0483e", "culvert"},
	{"ws+mux", "#2f81f7", "ws+mux (two of its layers)"},
	{"ws", "#1a9e96", "ws (one of them)"},
	{"coder", "#8957e5", "coder/websocket NetConn"},
	{"naive", "#b8860b", "naive (wsutil, yamux)"},
}

// svg returns the plot: for each metric, TCP on the left and TLS on the right,
// how fast (or frugal) each way is relative to direct gRPC.
func (r *report) svg() []byte {
	p := &plot{groups: group(r.Results)}
	width := plotLabels + 2*(plotPanel+plotGap)
	height := plotTop + len(p.groups)*p.groupHeight() + plotBottom
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" `+
		`font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12" fill="%s">`+"\n",
		width, height, width, height, plotText)
	p.printf("<title>Speed relative to direct gRPC</title>\n")
	p.legend(r)
	for i, layer := range []string{"TCP", "TLS"} {
		p.panel(layer, plotLabels+i*(plotPanel+plotGap))
	}
	for i, g := range p.groups {
		y := plotTop + i*p.groupHeight() + p.groupHeight()/2
		p.text(plotLabels-14, y+4, "end", g.label)
	}
	p.text(plotGap, height-8, "start",
		"Dots are medians, lines go from the worst round to the best. Grey: direct gRPC against itself.")
	p.printf("</svg>\n")
	return p.Bytes()
}

// A plot is an SVG being written.
type plot struct {
	bytes.Buffer
	groups []resultGroup
}

// A resultGroup is one metric's results.
type resultGroup struct {
	label   string
	results []*result
}

// group sorts results by metric, in the order in which metrics first appear.
func group(results []result) []resultGroup {
	var groups []resultGroup
	at := make(map[string]int)
	for i := range results {
		r := &results[i]
		n, ok := at[r.label()]
		if !ok {
			n = len(groups)
			at[r.label()] = n
			groups = append(groups, resultGroup{label: r.label()})
		}
		groups[n].results = append(groups[n].results, r)
	}
	return groups
}

func (p *plot) groupHeight() int { return len(marks)*plotLine + plotPadding }

func (p *plot) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// text writes s with its baseline at y.
func (p *plot) text(x, y int, anchor, s string) {
	p.printf(`<text x="%d" y="%d" text-anchor="%s">`, x, y, anchor)
	_ = xml.EscapeText(p, []byte(s)) // never fails on a Buffer
	p.printf("</text>\n")
}

// legend writes what is above the panels.
func (p *plot) legend(r *report) {
	p.printf(`<text x="%d" y="22" font-size="15" font-weight="600">Speed relative to direct gRPC</text>`+"\n", plotGap)
	p.text(plotGap, 42, "start", fmt.Sprintf(
		"Right is better. Times, memory and counts are inverted. %s, %d cores.", r.Machine.Go, r.Machine.Cores))
	x := plotGap
	for _, m := range marks {
		p.printf(`<circle cx="%d" cy="62" r="4" fill="%s"/>`, x+4, m.colour)
		p.text(x+13, 66, "start", m.text)
		x += 13 + 7*len(m.text) + 18
	}
}

// panel draws the grid of one layer's panel, whose left edge is at x, and its
// results.
func (p *plot) panel(layer string, x int) {
	bottom := plotTop + len(p.groups)*p.groupHeight()
	p.printf(`<text x="%d" y="%d" font-weight="600">over %s</text>`+"\n", x, plotTop-26, layer)
	for tick := 0.0; tick <= plotMax; tick += 0.25 {
		style := `stroke-opacity="0.35"`
		if tick == 1 {
			style = `stroke-width="1.5"`
		}
		at := x + int(tick/plotMax*plotPanel)
		p.printf(`<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" %s/>`+"\n",
			at, at, plotTop-8, bottom, plotGrid, style)
		label := fmt.Sprintf("%g", tick)
		p.text(at, plotTop-12, "middle", label)
		p.text(at, bottom+16, "middle", label)
	}
	for i, g := range p.groups {
		y := plotTop + i*p.groupHeight()
		p.printf(`<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-opacity="0.35"/>`+"\n",
			x, x+plotPanel, y, y, plotGrid)
		for _, r := range g.results {
			if r.Layer == layer && len(r.Ratios) > 0 {
				p.result(r, x, y)
			}
		}
	}
}

// result draws one result of the group that begins at y.
func (p *plot) result(r *result, x, y int) {
	speed := r.speed()
	low, mid, high := scaleX(speed.Min, x), scaleX(speed.Median, x), scaleX(speed.Max, x)
	if r.Way == controlName {
		p.printf(`<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" fill-opacity="0.25"/>`+"\n",
			low, y+3, max(high-low, 1), p.groupHeight()-6, plotGrid)
		return
	}
	for i, m := range marks {
		if m.way != r.Way {
			continue
		}
		cy := y + plotPadding/2 + i*plotLine + plotLine/2
		radius := 3.5
		if m.way == productName {
			radius = 4.5
		}
		p.printf(`<g stroke="%s" fill="%s"><line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke-width="1.5"/>`+
			`<circle cx="%.1f" cy="%d" r="%.1f" stroke="none"/></g>`+"\n",
			m.colour, m.colour, low, high, cy, cy, mid, cy, radius)
	}
}

// scaleX returns where speed is in the panel that begins at x.
func scaleX(speed float64, x int) float64 {
	return float64(x) + min(speed, plotMax)/plotMax*plotPanel
}
