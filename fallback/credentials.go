package fallback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"culvert/internal/ready"
	"culvert/internal/spiffe"
)

// conn is what DialContext returns: a native connection or a stream of the
// tunnel, with what grpc is to be told of it.
type conn struct {
	net.Conn
	*ready.Reader // of Conn

	auth    credentials.AuthInfo
	raw     syscall.Conn // the socket, if the connection has one to itself
	onClose func()       // may be nil
}

// SyscallConn implements syscall.Conn, which channelz takes socket options from.
// A stream of a tunnel has no socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if c.raw == nil {
		return nil, errors.ErrUnsupported
	}
	return c.raw.SyscallConn()
}

// socketOf returns the socket that c runs on, nil if it cannot be told.
func socketOf(c net.Conn) syscall.Conn {
	for {
		if s, ok := c.(syscall.Conn); ok {
			return s
		}
		above, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = above.NetConn()
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	if c.onClose != nil {
		c.onClose()
	}
	return c.Conn.Close()
}

// authInfo returns what grpc is to know of the security of c, the connection
// that TLS was done on, if it was.
func authInfo(c net.Conn) credentials.AuthInfo {
	t, ok := c.(*tls.Conn)
	if !ok {
		_, info, _ := insecure.NewCredentials().ClientHandshake(context.Background(), "", nil)
		return info
	}
	state := t.ConnectionState()
	return credentials.TLSInfo{
		State:          state,
		SPIFFEID:       spiffe.ID(&state),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
}

// offered is what grpc gets from the dialer: a connection that transportCredentials
// takes out again, or makes if grpc's resolver was another than those of
// DialOptions, since only then the authority is known. Who else reads or writes
// has credentials of another kind.
type offered struct {
	dialer *Dialer
	addr   string // to be dialled, if conn is nil
	conn   *conn
}

// errLeftover is what other credentials than transportCredentials get.
var errLeftover = errors.New("fallback: remove grpc.WithTransportCredentials and grpc.WithCredentialsBundle beside the Dialer's " +
	"DialOptions: the Dialer does TLS itself, as Dialer.TLS or Insecure say")

func (o *offered) Read([]byte) (int, error)         { return 0, errLeftover }
func (o *offered) Write([]byte) (int, error)        { return 0, errLeftover }
func (o *offered) SetDeadline(time.Time) error      { return nil }
func (o *offered) SetReadDeadline(time.Time) error  { return nil }
func (o *offered) SetWriteDeadline(time.Time) error { return nil }

func (o *offered) LocalAddr() net.Addr {
	if o.conn != nil {
		return o.conn.LocalAddr()
	}
	return &net.TCPAddr{}
}

func (o *offered) RemoteAddr() net.Addr {
	if o.conn != nil {
		return o.conn.RemoteAddr()
	}
	return &net.TCPAddr{}
}

func (o *offered) Close() error {
	if o.conn != nil {
		return o.conn.Close()
	}
	return nil
}

// dialGRPC is the dialer of DialOptions.
func (d *Dialer) dialGRPC(ctx context.Context, addr string) (net.Conn, error) {
	o := originOf(ctx)
	if o == nil {
		return &offered{dialer: d, addr: addr}, nil
	}
	if o.dest.network == networkTCP {
		addr = withPort(addr)
	}
	c, err := d.dial(ctx, o.dest, addr, o.count.Load() > 1)
	if err != nil {
		return nil, err
	}
	return &offered{dialer: d, conn: c}, nil
}

// transportCredentials tells grpc what the connections of dialGRPC already are.
type transportCredentials struct{ dialer *Dialer }

// ClientHandshake implements credentials.TransportCredentials.
func (t transportCredentials) ClientHandshake(ctx context.Context, authority string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	var own *conn
	switch c := c.(type) {
	case *offered:
		if own = c.conn; own == nil {
			dest := at(c.dialer.outer(authority, authorityOf(c.addr)), c.addr)
			var err error
			if own, err = c.dialer.dial(ctx, dest, dest.addr, false); err != nil {
				return nil, nil, err
			}
		}
	case *conn:
		own = c
	default:
		return nil, nil, errors.New("fallback: remove grpc.WithContextDialer beside the Dialer's DialOptions; " +
			"Dialer.NetDial takes a dialer of TCP connections")
	}
	if info, ok := own.auth.(credentials.TLSInfo); ok && t.verifies(authority, info) {
		if err := info.ValidateAuthority(authority); err != nil {
			_ = own.Close()
			return nil, nil, fmt.Errorf("fallback: authority %s: %w", authority, err)
		}
	}
	return own, own.auth, nil
}

// verifies reports whether authority is yet to be checked: the certificate was
// verified for the authority that was known at the dial.
func (t transportCredentials) verifies(authority string, info credentials.TLSInfo) bool {
	cfg := t.dialer.tls()
	if cfg != nil && (cfg.InsecureSkipVerify || cfg.ServerName != "") {
		return false
	}
	return hostOf(authority) != info.State.ServerName
}

// tls returns the configuration of the TLS that the server's certificate is
// checked in, for gRPC; it may be nil.
func (d *Dialer) tls() *tls.Config {
	if d.InnerTLS != nil {
		return d.InnerTLS
	}
	return d.TLS
}

// ServerHandshake implements credentials.TransportCredentials.
func (transportCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("fallback: these credentials are a client's; a server's are among listener's ServerOptions")
}

// Info implements credentials.TransportCredentials.
func (t transportCredentials) Info() credentials.ProtocolInfo {
	if t.dialer.Insecure && t.dialer.InnerTLS == nil {
		return insecure.NewCredentials().Info()
	}
	info := credentials.ProtocolInfo{SecurityProtocol: "tls"}
	if cfg := t.dialer.tls(); cfg != nil {
		info.ServerName = cfg.ServerName //nolint:staticcheck // as credentials.NewTLS does: it becomes the authority
	}
	return info
}

// Clone implements credentials.TransportCredentials.
func (t transportCredentials) Clone() credentials.TransportCredentials { return t }

// OverrideServerName implements credentials.TransportCredentials.
func (transportCredentials) OverrideServerName(string) error {
	return errors.New("fallback: set Dialer.TLS.ServerName")
}
