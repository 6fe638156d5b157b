package fallback

import (
	"errors"
	"time"
)

// Way is how a target is reached.
type Way int

// The ways.
const (
	Undecided Way = iota // not dialled yet
	Direct               // native gRPC
	Tunnel               // through a WebSocket
)

// String returns the way in a word.
func (w Way) String() string {
	switch w {
	case Direct:
		return "native"
	case Tunnel:
		return "tunnel"
	default:
		return "undecided"
	}
}

// Status is what a Dialer knows of a target.
type Status struct {
	Way       Way       // that the latest connection took
	Reason    string    // why that way, in words
	Since     time.Time // when it was chosen
	Failures  int       // of native, the tunnel and its next WebSocket, since each worked last
	LastError error     // the latest of each; nil if all work, or were not tried
	NextProbe time.Time // when native is tried beside the tunnel; zero if it is not
}

// Status tells how addr, a host:port, is reached. It dials nothing.
func (d *Dialer) Status(addr string) Status {
	d.mu.Lock()
	t := d.targets[withPort(addr)]
	d.mu.Unlock()
	if t == nil {
		return Status{Reason: "not dialled yet"}
	}
	t.mu.Lock()
	l := t.current
	s := Status{
		Way: t.way, Reason: t.reason, Since: t.since,
		Failures:  t.policy.failures + t.failures,
		LastError: errors.Join(t.policy.native, t.policy.tunnel),
	}
	if t.way == Tunnel && t.probing {
		s.NextProbe = t.nextProbe
	}
	t.mu.Unlock()
	failures, err := l.trouble()
	s.Failures += failures
	s.LastError = errors.Join(s.LastError, err)
	return s
}
