package main

import (
	"strings"
	"testing"
)

// TestScaleSmoke runs -scale as users do, and looks for what is left behind.
func TestScaleSmoke(t *testing.T) {
	before := settledGoroutines()
	var stdout, stderr strings.Builder
	args := []string{"-scale", "-smoke", "-contenders", "^(direct|culvert) TLS", "-tunnels", "20"}
	if status := run(args, &stdout, &stderr); status != 0 {
		t.Fatalf("exit status %d, stderr:\n%s", status, &stderr)
	}
	want := 2*4 + 2
	if !canIdle {
		want -= 2
	}
	lines := 0
	for line := range strings.Lines(stdout.String()) {
		if strings.Contains(line, " TLS") {
			lines++
		}
	}
	if lines != want {
		t.Errorf("got %d lines with figures, want %d:\n%s", lines, want, &stdout)
	}
	if after := settledGoroutines(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// TestIdleServerFails gives orders that cannot be followed.
func TestIdleServerFails(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "EOF",
		"no JSON\n":                      "invalid character",
		`{"Contender": "nobody"}` + "\n": "no contender",
	} {
		var out strings.Builder
		err := serveOrder(strings.NewReader(in), &out)
		if err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%q: got %v and %q, want an error with %q", in, err, &out, want)
		}
	}
}

func TestIdleBounds(t *testing.T) {
	for _, tt := range []struct {
		name     string
		resident float64
		cpu      float64
		misses   int
	}{
		{productName, 99e3, 0.04, 0},
		{productName, 101e3, 0.04, 1},
		{productName, 101e3, 0.06, 2},
		{baselineName, 101e3, 0.06, 0},
	} {
		r := idleResult{contender: contender{way: way{name: tt.name}}, n: 10, resident: tt.resident, cpu: tt.cpu}
		misses := 0
		if err := r.missed(); err != nil {
			misses = 1 + strings.Count(err.Error(), "\n")
		}
		if misses != tt.misses {
			t.Errorf("%+v: got %d misses, want %d", tt, misses, tt.misses)
		}
	}
}
