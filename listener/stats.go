package listener

import "sync/atomic"

// Stats is what a Listener holds at the moment, and what it did since it began.
type Stats struct {
	Handshakes int   // connections that have not told what they want
	Sessions   int   // tunnels and raw connections, and those being upgraded
	Resumable  int   // tunnels that outlive their WebSocket
	Replay     int64 // bytes that these keep to send again
	Streams    int   // of tunnels

	Opened  uint64 // tunnels and raw connections
	Resumed uint64 // WebSockets that took over a tunnel
	Refused Refused
}

// Refused counts what was refused, by the limit or the rule that it broke.
type Refused struct {
	Handshakes            uint64 // Config.MaxHandshakes
	HandshakesFromAddress uint64 // Config.MaxHandshakesFromAddress
	Evicted               uint64 // slow handshakes that made room for others
	Broken                uint64 // no usable TLS or no request came, or not in Config.HandshakeTimeout
	Requests              uint64 // no proper upgrade, or Config.CheckOrigin
	Unauthorized          uint64 // Config.Authorize, Config.AuthorizeNative
	Authorizing           uint64 // Config.MaxAuthorizing
	Sessions              uint64 // Config.MaxSessions
	SessionsOfPrincipal   uint64 // Config.MaxSessionsOfPrincipal
	Resumes               uint64 // no such session, not this client's, or too often
	Streams               uint64 // Config.MaxStreams: streams, and tunnels that were to have some
	StreamsOfPrincipal    uint64 // Config.MaxStreamsOfPrincipal, the same
	Detached              uint64 // tunnels that ended with their WebSocket, for having too many streams
	InnerTLS              uint64 // Config.InnerTLS: a handshake that failed, or was not asked for
}

// counters are those of Refused, and others.
type counters struct {
	handshakes, handshakesFrom, evicted, broken                atomic.Uint64
	requests, unauthorized, authorizing, sessions, ofPrincipal atomic.Uint64
	resumes, innerTLS, opened, resumed                         atomic.Uint64
	streams, streamsOfPrincipal, detached                      atomic.Uint64
}

// Stats returns the present figures. It may be called concurrently and often.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	sessions := l.count
	l.mu.Unlock()
	c := &l.counters
	return Stats{
		Handshakes: l.handshakes.len(),
		Sessions:   sessions,
		Resumable:  l.sessions.Len(),
		Replay:     l.sessions.Used(),
		Streams:    l.streams.len(),
		Opened:     c.opened.Load(),
		Resumed:    c.resumed.Load(),
		Refused: Refused{
			Handshakes:            c.handshakes.Load(),
			HandshakesFromAddress: c.handshakesFrom.Load(),
			Evicted:               c.evicted.Load(),
			Broken:                c.broken.Load(),
			Requests:              c.requests.Load(),
			Unauthorized:          c.unauthorized.Load(),
			Authorizing:           c.authorizing.Load(),
			Sessions:              c.sessions.Load(),
			SessionsOfPrincipal:   c.ofPrincipal.Load(),
			Resumes:               c.resumes.Load(),
			Streams:               c.streams.Load(),
			StreamsOfPrincipal:    c.streamsOfPrincipal.Load(),
			Detached:              c.detached.Load(),
			InnerTLS:              c.innerTLS.Load(),
		},
	}
}
