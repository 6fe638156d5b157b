package fallback

import (
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/resolver"
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
	Failures  int       // of native, the tunnels and their next WebSockets, since each worked last
	LastError error     // the latest of each; nil if all work, or were not tried
	NextProbe time.Time // when native is tried beside the tunnel; zero if it is not
}

// Status tells how target is reached. target takes every form that
// grpc.NewClient and DialContext take. Of a target with several destinations,
// addresses that a resolver of the program's own found, it tells of the one that
// was decided last. It dials nothing.
func (d *Dialer) Status(target string) Status {
	t := d.find(target)
	if t == nil {
		return Status{Reason: "not dialled yet"}
	}
	t.mu.Lock()
	s := Status{
		Way: t.way, Reason: t.reason, Since: t.since,
		Failures:  t.policy.failures + t.failures + t.short,
		LastError: errors.Join(t.policy.native, t.policy.tunnel),
	}
	if t.way == Tunnel && t.probing {
		s.NextProbe = t.nextProbe
	}
	links := slices.Clone(t.links)
	t.mu.Unlock()
	for _, l := range links {
		if l.stream != nil {
			failures, err := l.stream.Trouble()
			s.Failures += failures
			s.LastError = errors.Join(s.LastError, err)
		}
	}
	return s
}

// find returns what the Dialer knows of the target name, nil if nothing.
func (d *Dialer) find(name string) *target {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.targets[destinationOf(name)]; t != nil {
		return t
	}
	scheme, endpoint := endpointOf(name, func(scheme string) bool {
		return scheme != "" && (resolver.Get(scheme) != nil || strings.HasPrefix(name, scheme+"://"))
	})
	var found *target
	for dest, t := range d.targets {
		if dest.is(scheme, endpoint) && (found == nil || t.decided().After(found.decided())) {
			found = t
		}
	}
	return found
}

// decided returns when t's way was chosen.
func (t *target) decided() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since
}
