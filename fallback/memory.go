package fallback

import (
	"sync"
	"time"
)

// maxRemembered bounds how many targets the process remembers.
const maxRemembered = 1024

// key is what a verdict is about.
type key struct {
	scheme, authority, proxy, serverName string
}

// memory holds the verdicts of the process. All its methods may be called
// concurrently.
type memory struct {
	mu       sync.Mutex
	verdicts map[key]verdict
	flights  map[key]*flight
}

// flight is a decision being made, that others wait for.
type flight struct {
	dialer *Dialer
	addr   string
	done   chan struct{}
	err    error // why there was none; set before done is closed
}

// remembered is the memory that all Dialers share.
//
//nolint:gochecknoglobals // a cache of facts about the network, as long-lived as the process
var remembered = &memory{verdicts: map[key]verdict{}, flights: map[key]*flight{}}

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

// enter begins the decision f about k, unless one is being made: then it returns
// that one and false.
func (m *memory) enter(k key, f flight) (*flight, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if current := m.flights[k]; current != nil {
		return current, false
	}
	f.done = make(chan struct{})
	m.flights[k] = &f
	return &f, true
}

// leave ends the decision.
func (m *memory) leave(k key, f *flight, err error) {
	m.mu.Lock()
	delete(m.flights, k)
	m.mu.Unlock()
	f.err = err
	close(f.done)
}
