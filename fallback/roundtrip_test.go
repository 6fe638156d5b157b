package fallback_test

import (
	"io"
	"log"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"culvert/fallback"
)

var quiet = log.New(io.Discard, "", 0)

// inBubble runs f in a world of virtual time.
func inBubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() {
			w.end()
			<-time.After(time.Minute) // what has not ended by then is a leak, and found by the bubble
		}()
		f(t, w)
	})
}

// roundTrips returns how many fit into d.
func roundTrips(d time.Duration) float64 { return float64(d) / float64(2*delay) }

// TestRoundTrips counts what the first RPC costs: no more than plain gRPC where
// HTTP/2 passes, the promised number more where it does not.
func TestRoundTrips(t *testing.T) {
	for _, tt := range []struct {
		name   string
		protos []string // of a proxy in front; nil means none
		more   float64  // round trips than plain gRPC to the origin
		way    fallback.Way
	}{
		{"healthy", nil, 0, fallback.Direct},
		{"ALPN http/1.1", []string{"http/1.1"}, 1, fallback.Tunnel},
		{"no ALPN", []string{}, 1, fallback.Tunnel},
		{"h2 in front, HTTP/1.1 behind", []string{"h2", "http/1.1"}, 3, fallback.Tunnel},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				plain := w.unary(w.plain(w.origin))
				addr := w.origin
				if tt.protos != nil {
					w.proxyHTTP1(tt.protos...)
					addr = w.front
				}
				d := w.dialer()
				ours := w.unary(w.client(d, addr))
				t.Logf("plain %v, ours %v", roundTrips(plain), roundTrips(ours))
				if got := d.Status(addr); got.Way != tt.way {
					t.Errorf("way: got %v (%s), want %v", got.Way, got.Reason, tt.way)
				}
				if more := roundTrips(ours - plain); more > tt.more {
					t.Errorf("got %.2f round trips more than plain gRPC, want %.0f", more, tt.more)
				}
			})
		})
	}
}

// BenchmarkFirstRPC compares the first RPC with that of plain grpc, over TLS
// and a network with a delay, in real time and in turns.
func BenchmarkFirstRPC(b *testing.B) {
	var ratios []float64
	for b.Loop() {
		w := newWorld(b)
		plain := w.unary(w.plain(w.origin))
		ours := w.unary(w.client(w.dialer(), w.origin))
		w.end()
		ratios = append(ratios, float64(ours)/float64(plain))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "median-ratio")
	b.ReportMetric(ratios[len(ratios)-1], "max-ratio")
}
