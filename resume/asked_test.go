package resume

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPingAcknowledges answers a ping with what was received before it at once,
// also if both came with one read.
func TestPingAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(nil, nil)
		defer c.Abort()
		p := attach(t, c, c.Prepare(), 0)
		read(c)
		begin := time.Now()
		// As a decoder does that finds both in what it has read.
		if _, err := p.carrier.Conn.Write(appendPiece(appendPiece(nil, 1, []byte("ping")), 0, []byte("abc"))); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for len(texts) < 2 {
			texts = append(texts, p.text())
		}
		if after := time.Since(begin); texts[0] != "pong" && texts[1] != "pong" || texts[0] != "ack 3" && texts[1] != "ack 3" || after != 0 {
			t.Errorf("got %q after %v, want the pong and the acknowledgement at once", texts, after)
		}
	})
}
