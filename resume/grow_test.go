package resume

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestGrow sends as much as may be kept, over and over, to a peer that
// acknowledges it after some time.
func TestGrow(t *testing.T) {
	const base, most = 1 << 20, 8 << 20
	tests := []struct {
		name  string
		after func(size int) time.Duration // how long an acknowledgement of size bytes takes
		want  int
	}{
		{"long way", func(int) time.Duration { return 100 * time.Millisecond }, most},
		{"slow peer", func(size int) time.Duration { return time.Millisecond + time.Duration(size)*10 }, base},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := replay{limit: base}
				g := grower{max: most}
				send := func(size int) {
					r.end += uint64(size)
					r.next = r.end
					g.onSend(&r)
					time.Sleep(tt.after(size)) //nolint:forbidigo // of synctest: it costs no time
					r.start = r.next
					g.onAck(&r)
				}
				send(1 << 10)
				for range 20 {
					send(r.limit)
				}
				if r.limit != tt.want {
					t.Errorf("got a limit of %d, want %d", r.limit, tt.want)
				}
				g.begin()
				if g.max != most || g.fastest != 0 {
					t.Errorf("got %+v for another carrier, want nothing measured", g)
				}
			})
		})
	}
}
