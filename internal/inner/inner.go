// Package inner is TLS inside a tunnel: between the byte stream that outlives
// its WebSocket and the streams on it. A proxy that opens the outer TLS finds
// another one there.
package inner

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"culvert/internal/cork"
)

// Header asks for inner TLS in an upgrade request and grants it in the answer,
// with the value 1 (docs/PROTOCOL.md).
const Header = "Culvert-Inner-TLS"

// protocol is negotiated by ALPN, so that the server's end of another protocol
// with the same certificate is of no use to who relays the bytes there.
const protocol = "culvert.v1"

// Client does the client's side of the handshake on c. An empty ServerName in
// cfg becomes host. c is not closed on an error.
func Client(ctx context.Context, c net.Conn, cfg *tls.Config, host string) (*Conn, error) {
	cfg = prepare(cfg)
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	return handshake(ctx, c, tls.Client(cork.New(c), cfg))
}

// Server does the server's side.
func Server(ctx context.Context, c net.Conn, cfg *tls.Config) (*Conn, error) {
	return handshake(ctx, c, tls.Server(cork.New(c), prepare(cfg)))
}

// prepare returns cfg with the protocol and TLS 1.3 at least, for what its
// GetConfigForClient returns too.
func prepare(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.NextProtos = []string{protocol}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS13)
	choose := cfg.GetConfigForClient
	if choose == nil {
		return cfg
	}
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := choose(hello)
		if err != nil || chosen == nil {
			return nil, err
		}
		return prepare(chosen), nil
	}
	return cfg
}

func handshake(ctx context.Context, c net.Conn, t *tls.Conn) (*Conn, error) {
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("inner TLS: %w", err)
	}
	switch state := t.ConnectionState(); {
	case state.NegotiatedProtocol != protocol:
		return nil, fmt.Errorf("inner TLS: the peer negotiated %q (ALPN) and not %s: it is no end of a tunnel",
			state.NegotiatedProtocol, protocol)
	case state.Version < tls.VersionTLS13:
		return nil, fmt.Errorf("inner TLS: the peer negotiated %s, and TLS 1.3 is the least", tls.VersionName(state.Version))
	}
	ready, _ := c.(readyWriter)
	return &Conn{Writer: cork.NewWriter(t), ready: ready}, nil
}

// readyWriter is what mux asks of a connection that can say whether a Write
// would wait.
type readyWriter interface {
	WriteReady(n int) <-chan struct{}
}

// Conn is a connection on which the handshake is done. It is for one writer at a
// time.
type Conn struct {
	*cork.Writer

	ready readyWriter // of the connection beneath; may be nil
}

// overhead is how much longer records are than what is in them, for one frame
// of mux.
const overhead = 1 << 10

// WriteReady asks the connection beneath whether a Write of n bytes would wait.
func (c *Conn) WriteReady(n int) <-chan struct{} {
	if c.ready == nil {
		return nil
	}
	return c.ready.WriteReady(n + overhead)
}
