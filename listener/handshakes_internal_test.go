package listener

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// caller is a connection from somewhere that knows whether it was closed.
type caller struct {
	net.Conn

	from   string
	closed bool
}

func (c *caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

func (c *caller) Close() error {
	c.closed = true
	return nil
}

// TestHandshakes fills the room for handshakes, from one address and in all.
func TestHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handshakes{max: 4, maxFrom: 2, counters: &counters{}, from: map[netip.Prefix]int{}}
		h.exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		begin := func(from string) (*caller, *handshake) {
			c := &caller{from: from}
			return c, h.begin(c)
		}
		first, _ := begin("192.0.2.1:1")
		second, told := begin("192.0.2.1:2")
		if _, x := begin("192.0.2.1:3"); x != nil {
			t.Error("a third from the same address: got room, want none while the others are quick")
		}
		if _, x := begin("[2001:db8::1]:1"); x == nil {
			t.Error("another address: got no room")
		}
		time.Sleep(patience) //nolint:forbidigo // of synctest: it costs no time
		if _, x := begin("192.0.2.1:3"); x == nil || !first.closed || second.closed {
			t.Error("after a second: the first of the address has to make room")
		}
		h.end(told)
		h.end(told) // once more does nothing
		begin("10.1.1.1:1")
		begin("10.1.1.1:2") // now it is full, and the one of IPv6 the oldest
		if _, x := begin("10.1.1.1:3"); x == nil {
			t.Error("got no room, want that of the oldest")
		}
		if _, x := begin("10.1.1.1:4"); x != nil {
			t.Error("got room, want none: all are quick")
		}
		if n := h.len(); n != 4 {
			t.Errorf("got %d, want 4", n)
		}
		c := h.counters
		if c.handshakesFrom.Load() != 1 || c.evicted.Load() != 2 || c.handshakes.Load() != 1 {
			t.Errorf("got %d, %d, %d refused for their address, evicted and refused, want 1, 2, 1",
				c.handshakesFrom.Load(), c.evicted.Load(), c.handshakes.Load())
		}
		for e := h.order.Front(); e != nil; e = h.order.Front() {
			h.end(e.Value.(*handshake))
		}
		if len(h.from) != 0 {
			t.Errorf("got %v left, want nothing", h.from)
		}
	})
}

// TestCrowd has one address take all the room, quickly: it makes room for
// another one, and for no more than its share.
func TestCrowd(t *testing.T) {
	h := &handshakes{max: 4, maxFrom: 10, counters: &counters{}, from: map[netip.Prefix]int{}}
	begin := func(from string) (*caller, *handshake) {
		c := &caller{from: from}
		return c, h.begin(c)
	}
	first, _ := begin("192.0.2.1:1")
	for _, from := range []string{"192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:4"} {
		begin(from)
	}
	if _, x := begin("192.0.2.2:1"); x == nil || !first.closed {
		t.Error("got no room beside a crowd")
	}
	if _, x := begin("192.0.2.2:2"); x == nil {
		t.Error("got no room for a second beside a crowd of three")
	}
	if _, x := begin("192.0.2.2:3"); x != nil {
		t.Error("got room for a third, and no more than two are left of the crowd")
	}
}
