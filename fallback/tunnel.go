package fallback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"culvert/internal/inner"
	"culvert/mux"
	"culvert/wsconn"
)

// dialLink dials a WebSocket and makes it a tunnel.
func (d *Dialer) dialLink(ctx context.Context, t *target, established net.Conn) (*link, error) {
	header, err := d.header(ctx)
	if err != nil {
		if established != nil {
			_ = established.Close()
		}
		return nil, fmt.Errorf("fallback: header for the upgrade: %w", err)
	}
	wd := d.webSocketDialer()
	if wd.Header = header.Clone(); header == nil {
		wd.Header = http.Header{}
	}
	wd.Header.Set(headerFirstStream, "1")
	if d.InnerTLS != nil {
		wd.Header.Set(inner.Header, "1")
	}
	stream := d.askResume(t, wd)
	ws, err := t.upgrade(ctx, wd, established)
	d.Trace.upgraded(t.name, err)
	if err != nil {
		return nil, fmt.Errorf("fallback: tunnel to %s: %w", t.name, err)
	}
	l, err := d.newTunnel(ctx, t, ws, stream)
	if err != nil {
		return nil, fmt.Errorf("fallback: tunnel to %s: %w", t.name, err)
	}
	return l, nil
}

// newTunnel makes ws a tunnel.
func (d *Dialer) newTunnel(ctx context.Context, t *target, ws *wsconn.Conn, stream *stream) (*link, error) {
	var cfg mux.Config
	if d.Mux != nil {
		cfg = *d.Mux
	}
	cfg.FirstStream = true
	carrier, err := stream.over(ws)
	if err != nil {
		return nil, err
	}
	auth := authInfo(ws.NetConn())
	if d.InnerTLS != nil {
		c, err := d.innerTLS(ctx, t, ws, carrier)
		if err != nil {
			stream.giveUp(carrier)
			return nil, err
		}
		carrier, auth = c, authInfo(c.Conn)
	}
	s, err := mux.Client(carrier, &cfg)
	if err != nil {
		stream.giveUp(carrier)
		return nil, err
	}
	return newLink(t, s, auth, stream.conn, maxStreams(ws.Header())), nil
}

// innerTLS does TLS inside the tunnel.
func (d *Dialer) innerTLS(ctx context.Context, t *target, ws *wsconn.Conn, c net.Conn) (*inner.Conn, error) {
	if ws.Header().Get(inner.Header) != "1" {
		return nil, errors.New("the server does not grant TLS inside the tunnel: its answer has no " + inner.Header +
			": set InnerTLS in its listener.Config, or find the hop that drops this field")
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(d.HandshakeTimeout, defaultHandshakeTimeout))
	defer cancel()
	return inner.Client(ctx, c, d.InnerTLS, t.dest.serverName())
}

// headerMaxStreams tells in a 101 how many streams the server takes on the
// tunnel (docs/PROTOCOL.md).
const headerMaxStreams = "Culvert-Max-Streams"

// defaultMaxStreams is how many it takes if it does not say.
const defaultMaxStreams = 256

// maxStreams returns how many streams a tunnel has room for, by its 101.
func maxStreams(answer http.Header) int {
	n, err := strconv.Atoi(answer.Get(headerMaxStreams))
	if err != nil || n < 1 {
		return defaultMaxStreams
	}
	return n
}
