package main

import (
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// series is n samples of a process that stays as it is, with some noise, but
// for what change does to the ith.
func series(n int, change func(i int, s *sample)) []sample {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := make([]sample, n)
	for i := range all {
		s := sample{
			goroutines: 120, descriptors: 30,
			heap:    uint64(3<<20 + rnd.IntN(300<<10)),
			objects: uint64(6000 + rnd.IntN(600)),
			rss:     uint64(100<<20 + i<<20),
		}
		if rnd.IntN(10) == 0 { // a connection that is being replaced
			s.goroutines += 6
			s.descriptors += 4
			s.heap += 3 << 20
		}
		change(i, &s)
		all[i] = s
	}
	return all
}

func TestJudge(t *testing.T) {
	const n = 100
	tests := []struct {
		name   string
		change func(i int, s *sample)
		want   []string
	}{
		{"constant", func(int, *sample) {}, nil},
		{"warm-up", func(i int, s *sample) {
			s.goroutines += min(i, 20)
			s.descriptors += min(i, 20)
			s.heap += uint64(min(i, 20)) << 20
		}, nil},
		{"shrinks", func(i int, s *sample) { s.goroutines -= i; s.heap -= uint64(i) << 14 }, nil},
		{"one goroutine late", func(i int, s *sample) { s.goroutines += i % 2 }, nil},
		{"goroutine in 20 samples", func(i int, s *sample) { s.goroutines += i / 20 }, []string{"goroutines"}},
		{"two goroutines at once", func(i int, s *sample) { s.goroutines += 2 * (i / 60) }, []string{"goroutines"}},
		{"descriptor in 20 samples", func(i int, s *sample) { s.descriptors += i / 20 }, []string{"descriptors"}},
		{"32 KiB each", func(i int, s *sample) { s.heap += uint64(i) << 15 }, []string{"heap, MiB"}},
		{"30 objects each", func(i int, s *sample) { s.objects += uint64(i) * 30 }, []string{"objects"}},
		{"all", func(i int, s *sample) {
			s.goroutines += i
			s.descriptors += i
			s.heap += uint64(i) << 16
			s.objects += uint64(i) * 100
		}, []string{"goroutines", "descriptors", "heap, MiB", "objects"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := judge(io.Discard, series(n, tt.change))
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got growth of %q and %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestTooFewSamples(t *testing.T) {
	for n, want := range map[int]bool{0: false, 1: false, minWarmUp + minCounted - 1: false, minWarmUp + minCounted: true, 500: true} {
		if _, err := judge(io.Discard, series(n, func(int, *sample) {})); (err == nil) != want {
			t.Errorf("%d samples: %v", n, err)
		}
	}
}
