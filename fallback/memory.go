package fallback

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// maxRemembered bounds how many targets the process remembers.
const maxRemembered = 1024

// key is what a verdict is about: a destination on a network, as far as that
// can be told. Dialers with the same key share what they find.
type key struct {
	dest   destination
	scheme string
	path   string
	proxy  string
	tls    weak.Pointer[tls.Config]
	dialer uint64 // of a Dialer that may be on a network of its own; else 0
}

// numbers tells Dialers with functions of their own apart.
//
//nolint:gochecknoglobals // a counter, as long-lived as the process
var numbers atomic.Uint64

// key returns what a verdict about dest is about now.
func (d *Dialer) key(dest destination) key {
	k := key{dest: dest, scheme: d.scheme("http"), path: d.Path}
	if d.TLS != nil {
		k.tls = weak.Make(d.TLS)
	}
	if d.NetDial != nil || d.Proxy != nil || d.Header != nil || d.ProxyAuth != nil || d.ProxyHeader != nil || d.InnerTLS != nil {
		d.numbered.Do(func() { d.number = numbers.Add(1) })
		k.dialer = d.number
	}
	if proxy, err := d.proxyTo(dest); err == nil && proxy != nil {
		k.proxy = proxy.Redacted()
	}
	return k
}

// memory holds the verdicts of the process. All its methods may be called
// concurrently.
type memory struct {
	mu       sync.Mutex
	verdicts map[key]verdict
	flights  map[flightKey]*flight
}

// flightKey is what a decision is about: one of the addresses of a destination.
type flightKey struct {
	key

	addr string
}

// flight is a decision being made, that others wait for.
type flight struct {
	done chan struct{}
	err  error // why there was none; set before done is closed
}

// remembered is the memory that all Dialers share.
//
//nolint:gochecknoglobals // a cache of facts about the network, as long-lived as the process
var remembered = &memory{verdicts: map[key]verdict{}, flights: map[flightKey]*flight{}}

// load returns the verdict about k if there is one that holds.
func (m *memory) load(k key, now time.Time) (verdict, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.verdicts[k]
	if !v.holds(now) {
		delete(m.verdicts, k)
		return verdict{}, false
	}
	return v, true
}

// store keeps v, or forgets k if v does not hold.
func (m *memory) store(k key, v verdict, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !v.holds(now) {
		delete(m.verdicts, k)
		return
	}
	if len(m.verdicts) >= maxRemembered {
		m.evict(now)
	}
	m.verdicts[k] = v
}

// evict makes room: what no longer holds, or anything.
func (m *memory) evict(now time.Time) {
	var victim key
	for k, v := range m.verdicts {
		victim = k
		if !v.holds(now) {
			break
		}
	}
	delete(m.verdicts, victim)
}

// enter begins the decision about k, unless one is being made: then it returns
// that one and false.
func (m *memory) enter(k flightKey) (*flight, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if current := m.flights[k]; current != nil {
		return current, false
	}
	f := &flight{done: make(chan struct{})}
	m.flights[k] = f
	return f, true
}

// leave ends the decision.
func (m *memory) leave(k flightKey, f *flight, err error) {
	m.mu.Lock()
	delete(m.flights, k)
	m.mu.Unlock()
	f.err = err
	close(f.done)
}
