package mux

import (
	"time"

	"culvert/internal/toll"
)

// calm is how fast frames may come that carry no data: 10,000 a second, where
// one that opens a stream counts for more, as it costs more. Whoever reads waits
// for that, and what comes behind with him.
//
//nolint:gochecknoglobals // never changed
var calm = toll.Rate{Burst: 1024, Every: 100 * time.Microsecond}

// What frames count for.
const (
	costIdle    = 1
	costOpening = 16
)

// usefulWindow is by how much a window has to grow for the frame not to count.
const usefulWindow = 1 << 10

// chargeFrame counts a frame, of a stream if there is one. The caller has the right
// to read.
func (s *Session) chargeFrame(h header, st *stream) {
	n := 0
	switch {
	case h.flags&flagSYN != 0 && h.kind != typePing:
		n = costOpening
	case h.kind == typeData && h.length > 0 && st != nil, h.kind == typeWindow && h.length >= usefulWindow && st != nil:
	default:
		n = costIdle
	}
	if n > 0 {
		s.gate.Pass(n, calm, &s.done)
	}
}
