package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A report is a whole run.
type report struct {
	Machine machine  `json:"machine"`
	Rounds  int      `json:"rounds"`
	Slice   string   `json:"slice"`
	Copies  bool     `json:"codec_copies"`
	Results []result `json:"results"`
}

func newReport(o *options) *report {
	return &report{Machine: thisMachine(), Rounds: o.rounds, Slice: o.slice.String(), Copies: !o.lends}
}

// writeJSON writes the report for machines.
func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// writeMarkdown writes the report for people.
func (r *report) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d cores, %s\n", r.Machine.Go, r.Machine.Platform, r.Machine.Cores, r.Machine.CPU)
	codec := "does not copy"
	if r.Copies {
		codec = "copies as protobuf does"
	}
	fmt.Fprintf(&b, "%d rounds of %s; the codec %s; ratios to direct gRPC over the same TCP or TLS, in the same round\n\n",
		r.Rounds, r.Slice, codec)
	lines := [][]string{{"row", "contender", "value", "ratio min / median / max"}}
	last := ""
	for i := range r.Results {
		res := &r.Results[i]
		label := res.label()
		if label == last {
			label = ""
		} else {
			last = label
		}
		lines = append(lines, []string{label, res.contender(), res.Unit.format(res.Median), res.ratioText()})
	}
	writeTable(&b, lines)
	_, err := io.WriteString(w, b.String())
	return err
}

// ratioText is the last column: a missed bound stands out.
func (r *result) ratioText() string {
	if len(r.Ratios) == 0 || r.Way == baselineName {
		return "–"
	}
	text := fmt.Sprintf("%.2f / %.2f / %.2f", r.Ratio.Min, r.Ratio.Median, r.Ratio.Max)
	if len(r.More) > 0 {
		text += fmt.Sprintf(" (%+.1f)", summarize(r.More).Median)
	}
	if r.Way == productName && r.verdict() == missed {
		return "**" + text + "**"
	}
	return text
}

// writeTable writes lines, the first of them the header, as a Markdown table
// whose columns line up as plain text too.
func writeTable(b *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(b, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
}
