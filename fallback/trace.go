package fallback

import "crypto/tls"

// Trace is a set of hooks that run at the steps of a Dialer's work. Any of them
// may be nil. They may be called concurrently, hold up what they report, and
// must not call the Dialer. target names what was dialled: the host:port, or the
// authority and the address if they differ.
type Trace struct {
	// Connected is called when TCP, and a proxy's CONNECT, are done, or have
	// failed, for either way at addr.
	Connected func(target, addr string, err error)

	// TLSDone is called after the TLS handshake of either way. Its
	// NegotiatedProtocol is the first thing to tell the ways apart.
	TLSDone func(target string, state tls.ConnectionState, err error)

	// FirstFrame is called when the server's first HTTP/2 frame came.
	FirstFrame func(target string, err error)

	// Verified is called when gRPC was proven to pass from end to end, or
	// not to.
	Verified func(target string, err error)

	// NativeFailed is called after each failure of native gRPC, the nth in
	// a row that is ambiguous.
	NativeFailed func(target string, n int, err error)

	// Upgraded is called when a WebSocket was opened for a tunnel, or
	// refused.
	Upgraded func(target string, err error)

	// Proven is called when the first frame came back through a tunnel.
	Proven func(target string)

	// Probed is called after each probe of native gRPC beside the tunnel;
	// n is how many were good in a row.
	Probed func(target string, n int, err error)

	// WayChanged is called when connections go another way than before.
	WayChanged func(target string, before, now Way, reason string)
}

func (t *Trace) connected(target, addr string, err error) {
	if t != nil && t.Connected != nil {
		t.Connected(target, addr, err)
	}
}

func (t *Trace) tlsDone(target string, state tls.ConnectionState, err error) {
	if t != nil && t.TLSDone != nil {
		t.TLSDone(target, state, err)
	}
}

func (t *Trace) firstFrame(target string, err error) {
	if t != nil && t.FirstFrame != nil {
		t.FirstFrame(target, err)
	}
}

func (t *Trace) verified(target string, err error) {
	if t != nil && t.Verified != nil {
		t.Verified(target, err)
	}
}

func (t *Trace) nativeFailed(target string, n int, err error) {
	if t != nil && t.NativeFailed != nil {
		t.NativeFailed(target, n, err)
	}
}

func (t *Trace) upgraded(target string, err error) {
	if t != nil && t.Upgraded != nil {
		t.Upgraded(target, err)
	}
}

func (t *Trace) proven(target string) {
	if t != nil && t.Proven != nil {
		t.Proven(target)
	}
}

func (t *Trace) probed(target string, n int, err error) {
	if t != nil && t.Probed != nil {
		t.Probed(target, n, err)
	}
}

func (t *Trace) wayChanged(target string, before, now Way, reason string) {
	if t != nil && t.WayChanged != nil {
		t.WayChanged(target, before, now, reason)
	}
}
