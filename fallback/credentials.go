package fallback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"culvert/internal/ready"
)

// conn is what DialContext returns: a native connection or a stream of the
// tunnel, with what grpc is to be told of it.
type conn struct {
	net.Conn
	*ready.Reader // of Conn

	auth    credentials.AuthInfo
	onClose func() // may be nil
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
	return credentials.TLSInfo{
		State:          t.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
}

// transportCredentials tells grpc what DialContext's connections already are.
type transportCredentials struct{ dialer *Dialer }

// ClientHandshake implements credentials.TransportCredentials. The certificate
// was verified for the target; an authority that names another host must be
// in it too, as it would have to be with grpc's own TLS.
func (t transportCredentials) ClientHandshake(_ context.Context, authority string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	own, ok := c.(*conn)
	if !ok {
		return nil, nil, errors.New("fallback: these credentials need the dialer that is among the same DialOptions")
	}
	if info, ok := own.auth.(credentials.TLSInfo); ok && t.verifies(authority, info) {
		if err := info.ValidateAuthority(authority); err != nil {
			_ = own.Close()
			return nil, nil, fmt.Errorf("fallback: authority %s: %w", authority, err)
		}
	}
	return own, own.auth, nil
}

// verifies reports whether authority is yet to be checked.
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
