package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// nameWidth is that of the table's first column, and detailWidth the longest
// line of its last.
const (
	nameWidth   = 37
	detailWidth = 88
)

// table prints rows as they come.
type table struct {
	w          io.Writer
	rows, held int
}

func (t *table) section(title string) { fmt.Fprintf(t.w, "  %s\n", title) }

// row runs one row and prints whether it held, how long it took, and what
// happened.
func (t *table) row(ctx context.Context, name string, run func(context.Context) (string, error)) {
	start := time.Now()
	detail, err := run(ctx)
	took := time.Since(start)
	t.rows++
	mark := "✓"
	if err != nil {
		mark, detail = "✗", err.Error()
	} else {
		t.held++
	}
	for i, line := range wrap(detail, detailWidth) {
		if i == 0 {
			fmt.Fprintf(t.w, "    %s %-*s %9s   %s\n", mark, nameWidth, name, round(took), line)
			continue
		}
		fmt.Fprintf(t.w, "      %-*s %9s   %s\n", nameWidth, "", "", line)
	}
}

// wrap breaks s between words into lines of at most n bytes.
func wrap(s string, n int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > n {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
