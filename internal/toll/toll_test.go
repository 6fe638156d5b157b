package toll

import (
	"testing"
	"testing/synctest"
	"time"

	"culvert/internal/bell"
)

// TestGate passes a burst at once and the rest at the rate.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Rate{Burst: 1000, Every: time.Millisecond}
		var g Gate
		start := time.Now()
		pass := func(n int) time.Duration {
			for range n {
				g.Pass(1, r, new(bell.Latch))
			}
			return time.Since(start)
		}
		if took := pass(1000); took != 0 {
			t.Errorf("the burst took %v, want nothing", took)
		}
		if took := pass(10_000); took < 9700*time.Millisecond || took > 10*time.Second {
			t.Errorf("10,000 more took %v, want about 10 s", took)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // of synctest: it costs no time
		start = time.Now()
		if took := pass(700); took != 0 {
			t.Errorf("700 after a minute took %v, want nothing", took)
		}
		var done bell.Latch
		done.Close()
		start = time.Now()
		for range 10_000 {
			g.Pass(1, r, &done)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("10,000 after the end took %v, want nothing", took)
		}
	})
}
