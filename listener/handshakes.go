package listener

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"

	"culvert/internal/clientaddr"
)

// patience is how long a connection may take, when there is no room for
// another one, before it has to make room.
const patience = time.Second

// handshakes are the connections of the port that have not told what they want:
// they are in TLS, in the head of a request, idle between two requests of
// HTTP/1.1, or wait for Accept. There is room for so many, and for fewer from
// one address. When it is used up, the one that has taken longest makes room
// for the next, or if that is no slow one, one from an address that has more
// than the next one's; else it is the next that has to go.
type handshakes struct {
	max, maxFrom int
	exempt       []netip.Prefix // of proxies, from which many come
	counters     *counters

	mu    sync.Mutex
	order list.List // of *handshake, the oldest first
	from  map[netip.Prefix]int
}

// handshake is one of them.
type handshake struct {
	conn    net.Conn
	from    netip.Prefix // zero if nobody counts
	since   time.Time
	place   *list.Element // nil if it has told
	unknown bool          // nobody but split has it
}

// begin makes room for c. It returns nil if there is none, and closes another
// connection only if c gets its place.
func (h *handshakes) begin(c net.Conn) *handshake {
	x := &handshake{conn: c, from: h.source(c), unknown: true}
	h.mu.Lock()
	defer h.mu.Unlock()
	crowded := x.from.IsValid() && h.from[x.from] >= h.maxFrom
	full := h.order.Len() >= h.max
	var victim *handshake
	switch {
	case crowded:
		victim = h.slowest(x.from)
	case full:
		if victim = h.slowest(netip.Prefix{}); victim == nil {
			victim = h.crowd(x.from)
		}
	}
	switch {
	case victim != nil:
		h.close(victim)
	case crowded:
		h.counters.handshakesFrom.Add(1)
		return nil
	case full:
		h.counters.handshakes.Add(1)
		return nil
	}
	h.add(x)
	return x
}

// makeRoom closes the slowest connection, if there is a slow one, and reports
// whether there was: the process may open no more files.
func (h *handshakes) makeRoom() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	victim := h.slowest(netip.Prefix{})
	if victim != nil {
		h.close(victim)
	}
	return victim != nil
}

// slowest returns the connection that has taken longest, of those from an
// address if that is valid, nil if it is no slow one; mu is held.
func (h *handshakes) slowest(from netip.Prefix) *handshake {
	for e := h.order.Front(); e != nil; e = e.Next() {
		x := e.Value.(*handshake)
		if time.Since(x.since) < patience {
			return nil
		}
		if !from.IsValid() || x.from == from {
			return x
		}
	}
	return nil
}

// crowd returns the oldest connection from the address that has most, nil if
// those are not more than from has by two; mu is held.
func (h *handshakes) crowd(from netip.Prefix) *handshake {
	crowd, most := netip.Prefix{}, h.from[from]+1
	for p, n := range h.from {
		if n > most {
			crowd, most = p, n
		}
	}
	if !crowd.IsValid() {
		return nil
	}
	for e := h.order.Front(); e != nil; e = e.Next() {
		if x := e.Value.(*handshake); x.from == crowd {
			return x
		}
	}
	return nil
}

// close makes x make room; mu is held.
func (h *handshakes) close(x *handshake) {
	h.remove(x)
	h.counters.evicted.Add(1)
	_ = x.conn.Close()
}

// again counts x once more: it waits for another request.
func (h *handshakes) again(x *handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(x)
	h.add(x)
}

// end says that x has told what it wants, or is gone.
func (h *handshakes) end(x *handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(x)
}

// known says that somebody else has x now, who closes it when that is due.
func (h *handshakes) known(x *handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x.unknown = false
}

// closeUnknown closes the connections that nobody else has.
func (h *handshakes) closeUnknown() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for e := h.order.Front(); e != nil; e = e.Next() {
		if x := e.Value.(*handshake); x.unknown {
			_ = x.conn.Close()
		}
	}
}

// len returns how many there are.
func (h *handshakes) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.order.Len()
}

func (h *handshakes) add(x *handshake) {
	x.since = time.Now()
	x.place = h.order.PushBack(x)
	if x.from.IsValid() {
		h.from[x.from]++
	}
}

func (h *handshakes) remove(x *handshake) {
	if x.place == nil {
		return
	}
	h.order.Remove(x.place)
	x.place = nil
	if !x.from.IsValid() {
		return
	}
	if h.from[x.from]--; h.from[x.from] == 0 {
		delete(h.from, x.from)
	}
}

// source returns what counts as the address that c is from: a /64 of IPv6 is
// one customer's. It is zero for a proxy, from which many come.
func (h *handshakes) source(c net.Conn) netip.Prefix {
	if clientaddr.IsProxied(c) {
		return netip.Prefix{}
	}
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := addr.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range h.exempt {
		if p.Contains(ip) {
			return netip.Prefix{}
		}
	}
	return networkOf(ip)
}
