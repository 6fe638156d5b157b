package resume

import "time"

// grower sees that what is kept for replay is enough for the way: on a long one
// more has to be under way than on a short one for the same rate. It measures
// with one byte at a time how long an acknowledgement takes. Where that is not
// much longer than it ever was, and half of what may be kept was acknowledged
// meanwhile, the way was too long for it, rather than the peer too slow.
type grower struct {
	max     int           // up to here the limit grows
	at      uint64        // offset of the byte that is measured with
	sent    time.Time     // when it was sent; zero if there is none
	acked   uint64        // what was acknowledged by then
	fastest time.Duration // the shortest time on this carrier; 0 if there is none yet
}

// begin forgets what was measured on another carrier.
func (g *grower) begin() { *g = grower{max: g.max} }

// onSend notes that r was sent up to its next.
func (g *grower) onSend(r *replay) {
	if r.limit < g.max && g.sent.IsZero() {
		g.measure(r)
	}
}

// measure measures with the last byte that was sent.
func (g *grower) measure(r *replay) {
	g.at, g.sent, g.acked = r.next, time.Now(), r.start
}

// onAck notes that r was acknowledged up to its start, and lets it keep more if
// that is worth it.
func (g *grower) onAck(r *replay) {
	if g.sent.IsZero() || r.start < g.at {
		return
	}
	took := time.Since(g.sent)
	g.sent = time.Time{}
	if g.fastest == 0 || took < g.fastest {
		g.fastest = took
	}
	if took < 2*g.fastest && r.start-g.acked >= uint64(r.limit)/2 {
		r.limit = min(2*r.limit, g.max)
	}
}
