package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"culvert/internal/ready"
	"culvert/internal/spiffe"
)

// conn is what Accept returns: a native connection or a stream of a tunnel,
// with what grpc is to be told of it.
type conn struct {
	net.Conn
	*ready.Reader // of Conn

	auth    credentials.AuthInfo
	addr    net.Addr
	onClose func() // may be nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	if c.onClose != nil {
		c.onClose()
	}
	return c.Conn.Close()
}

// SyscallConn implements syscall.Conn, which channelz takes socket options from.
// A stream of a tunnel has no socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	for under := c.Conn; under != nil; {
		if s, ok := under.(syscall.Conn); ok {
			return s.SyscallConn()
		}
		switch u := under.(type) {
		case interface{ NetConn() net.Conn }:
			under = u.NetConn()
		case *sniffed:
			under = u.Conn
		case *mixed:
			under = u.Conn
		default:
			under = nil
		}
	}
	return nil, errors.ErrUnsupported
}

// RemoteAddr returns the client's address as the port saw it, a *net.TCPAddr
// for TCP. All streams of one tunnel return the same pointer.
func (c *conn) RemoteAddr() net.Addr { return c.addr }

// uniqueAddr returns an address equal to a that no other tunnel has, so that
// it can be the key under which a tunnel's Info is found.
func uniqueAddr(a net.Addr) net.Addr {
	switch a := a.(type) {
	case *net.TCPAddr:
		unique := *a
		return &unique
	case *net.UnixAddr:
		unique := *a
		return &unique
	default:
		return &otherAddr{a}
	}
}

type otherAddr struct{ net.Addr }

// authInfo returns what grpc is to know of the transport's security: a
// credentials.TLSInfo, or what insecure credentials give where the port, or
// the hop in front of it, speaks cleartext.
func authInfo(state *tls.ConnectionState) credentials.AuthInfo {
	if state == nil {
		_, info, _ := insecure.NewCredentials().ServerHandshake(nil)
		return info
	}
	return credentials.TLSInfo{
		State:          *state,
		SPIFFEID:       spiffe.ID(state),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
}

// transportCredentials tells grpc what Accept's connections already are.
type transportCredentials struct{ secure bool }

// Credentials returns the transport credentials for a grpc.Server that serves
// the Listener. TLS is done by then; AuthInfo is the credentials.TLSInfo of
// the outermost TLS for native connections and tunnels alike.
func (l *Listener) Credentials() credentials.TransportCredentials {
	return transportCredentials{secure: l.cfg.TLS != nil}
}

// ServerHandshake implements credentials.TransportCredentials.
func (transportCredentials) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	own, ok := c.(*conn)
	if a, is := c.(*accepted); is {
		own, ok = a.conn, true
	}
	if !ok {
		return nil, nil, errors.New("listener: these credentials are for connections that this package's Listener accepted")
	}
	return own, own.auth, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (transportCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("listener: these credentials are a server's; a client's are among fallback's DialOptions")
}

// Info implements credentials.TransportCredentials.
func (t transportCredentials) Info() credentials.ProtocolInfo {
	if t.secure {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return insecure.NewCredentials().Info()
}

// Clone implements credentials.TransportCredentials.
func (t transportCredentials) Clone() credentials.TransportCredentials { return t }

// OverrideServerName implements credentials.TransportCredentials.
func (transportCredentials) OverrideServerName(string) error { return nil }
