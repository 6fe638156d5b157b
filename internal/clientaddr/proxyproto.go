package clientaddr

import (
	"net"
	"net/netip"
	"time"
)

// defaultHeadTimeout is what a headTimeout of 0 means.
const defaultHeadTimeout = 10 * time.Second

// Listen returns a net.Listener of inner's connections, where those from a
// trusted address must begin with a head of the PROXY protocol, version 1 or 2,
// and have the client's address that it tells. Nobody else's are touched: what
// looks like a head there is data. A trusted address whose connections need not
// have a head would be a proxy that lets its clients write one.
//
// Accept does not wait for the head. Read, Write and RemoteAddr of the
// connection do, as those of a tls.Conn wait for the handshake: until the head
// is there, the read deadline passes, even for Write, or the connection is
// closed. It is closed if the head has not been read headTimeout after Accept; 0
// means 10 s.
//
// Read and Write return io.EOF if the connection ended before the head began. A
// head that is missing, malformed or cut gives a *net.OpError, one that is late
// gives one that is os.ErrDeadlineExceeded. A deadline can be renewed.
//
// RemoteAddr returns a *net.TCPAddr. It is the socket's, that is the proxy's, if
// the head names none (a health check, or a client on a Unix socket). It is so
// too if RemoteAddr could not wait until the head was there, and Read and Write
// return an error ever after. LocalAddr is always the socket's.
//
// The connection's method Unwrap() net.Conn returns the socket, which knows the
// proxy's address only, once Read has returned all that came with the head.
func Listen(inner net.Listener, trusted []netip.Prefix, headTimeout time.Duration) net.Listener {
	if headTimeout <= 0 {
		headTimeout = defaultHeadTimeout
	}
	return &listener{inner, trusted, headTimeout}
}

type listener struct {
	net.Listener

	trusted []netip.Prefix
	timeout time.Duration
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !contains(l.trusted, a.AddrPort().Addr()) {
		return c, nil
	}
	return newConn(c, l.timeout), nil
}

// IsProxied reports whether c is a connection of Listen's that begins with a
// head.
func IsProxied(c net.Conn) bool {
	_, ok := c.(*conn)
	return ok
}
