package listener

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"culvert/internal/ready"
)

// Native is what Config.AuthorizeNative decides about: a connection of HTTP/2
// that is no tunnel.
type Native struct {
	RemoteAddr net.Addr             // as the port, or ProxyProtocol, has it
	TLS        *tls.ConnectionState // nil without TLS
}

var (
	errTunnelOnly = errors.New("this server takes RPCs through tunnels alone")
	errAuthorizes = errors.New("too many callers are being authorized at the moment")
)

// deliverNative hands c, a native connection, to Accept, unless it is refused. f
// is what came on inner, which c runs on.
func (l *Listener) deliverNative(inner, c net.Conn, f *flight) {
	state := tlsState(inner)
	own := &conn{Conn: c, Reader: ready.New(c), auth: authInfo(state), addr: inner.RemoteAddr()}
	if l.cfg.AuthorizeNative != nil {
		principal, err := l.authorizeNative(inner)
		if err != nil {
			refuseNative(inner, f, err)
			return
		}
		own.addr = uniqueAddr(own.addr)
		l.infos.Store(own.addr, &Info{Principal: principal})
		own.onClose = sync.OnceFunc(func() { l.infos.Delete(own.addr) })
	}
	l.deliver(own, nil)
}

// deliverVerification answers the verifications on c, unless native connections
// like it are refused: then the tunnel is where to go.
func (l *Listener) deliverVerification(c net.Conn, f *flight) {
	if l.cfg.AuthorizeNative != nil {
		if _, err := l.authorizeNative(c); err != nil {
			turnAway(c, http2.ErrCodeHTTP11Required, err.Error())
			return
		}
	}
	l.answerVerification(c, f)
}

// authorizeNative asks Config.AuthorizeNative about c.
func (l *Listener) authorizeNative(c net.Conn) (principal any, err error) {
	if !l.beginAuthorizing() {
		return nil, errAuthorizes
	}
	defer l.authorizing.Add(-1)
	if principal, err = l.cfg.AuthorizeNative(&Native{RemoteAddr: c.RemoteAddr(), TLS: tlsState(c)}); err != nil {
		l.counters.unauthorized.Add(1)
		l.cfg.Logger.Info("listener: native connection not authorized", "remote", c.RemoteAddr(), "err", err)
	}
	return principal, err
}

// beginAuthorizing counts one more call of Authorize or AuthorizeNative, unless
// there are too many.
func (l *Listener) beginAuthorizing() bool {
	if l.authorizing.Add(1) <= int64(l.cfg.MaxAuthorizing) {
		return true
	}
	l.authorizing.Add(-1)
	l.counters.authorizing.Add(1)
	return false
}

// warnOpen says that native RPCs pass by Authorize.
func (l *Listener) warnOpen() {
	cfg := &l.cfg
	asked := cfg.TLS != nil && (cfg.TLS.ClientAuth != tls.NoClientCert || cfg.TLS.GetConfigForClient != nil)
	if cfg.Authorize != nil && cfg.AuthorizeNative == nil && !cfg.RequireTunnel && !asked {
		cfg.Logger.Warn("listener: Authorize does not see native gRPC on this port: set AuthorizeNative, RequireTunnel or TLS.ClientAuth",
			"addr", l.Addr())
	}
}

// turnAwayTime is how long a client has to read why.
const turnAwayTime = time.Second

// turnAway ends a connection of HTTP/2 with GOAWAY, which says why.
func turnAway(c net.Conn, code http2.ErrCode, why string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(turnAwayTime))
	var b bytes.Buffer
	framer := http2.NewFramer(&b, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteGoAway(0, code, []byte(why))
	if _, err := c.Write(b.Bytes()); err == nil {
		_, _ = io.Copy(io.Discard, c) // a reset could overtake it
	}
}

// A client that speaks TLS to a cleartext port, or cleartext to one with TLS, is
// told so as far as that is possible, and so is the operator, once.

// tlsAlert is unexpected_message, as a record of TLS (RFC 8446, Section 6.2).
const tlsAlert = "\x15\x03\x01\x00\x02\x02\x0a"

// mismatched says that a client speaks cleartext to a port with TLS, if that is
// what err of its handshake shows.
func (l *Listener) mismatched(c net.Conn, err error) {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) {
		return
	}
	switch head := string(record.RecordHeader[:]); {
	case head == fullPreface[:len(head)]:
		_, _ = io.WriteString(c, tlsAlert)
	case head[:4] == "GET " || head[:4] == "POST" || head[:4] == "HEAD":
		_, _ = io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks TLS.\n")
	default:
		return
	}
	l.warnCleartext.Do(func() {
		l.cfg.Logger.Warn("listener: a client speaks cleartext to this port, which speaks TLS: unset Insecure at the client",
			"remote", c.RemoteAddr())
	})
}

// recordHandshake is the type of the first record of TLS.
const recordHandshake = 22

// sniffedTLS says that a client speaks TLS to a cleartext port.
func (l *Listener) sniffedTLS(c *sniffed) {
	if l.cfg.TLS == nil && len(c.head) > 0 && c.head[0] == recordHandshake {
		l.warnTLS.Do(func() {
			l.cfg.Logger.Warn("listener: a client speaks TLS to this port, which is cleartext: set Config.TLS, or Insecure at the client",
				"remote", c.RemoteAddr())
		})
	}
}

// accepted is what Accept returns: a conn that Credentials have not taken out
// yet. A grpc.Server with credentials of another kind does TLS once more: it reads
// the preface, which is no TLS, and closes without a word.
type accepted struct {
	*conn

	listener    *Listener
	read, wrote atomic.Bool
	taken       atomic.Bool // the client is being told
}

// errLeftover is what such a server and its clients are told.
var errLeftover = errors.New("listener: remove grpc.Creds beside the Listener's ServerOptions: " +
	"the Listener does TLS itself, as Config.TLS says")

// Read implements net.Conn.
func (a *accepted) Read(p []byte) (int, error) {
	n, err := a.conn.Read(p)
	if n > 0 {
		a.read.Store(true)
	}
	return n, err
}

// Write implements net.Conn.
func (a *accepted) Write(p []byte) (int, error) {
	a.wrote.Store(true)
	return a.conn.Write(p)
}

// Close implements net.Conn.
func (a *accepted) Close() error {
	if a.taken.Load() {
		return nil
	}
	if a.read.Load() && a.wrote.CompareAndSwap(false, true) && !a.listener.isClosed() {
		a.listener.warnLeftover.Do(func() { a.listener.cfg.Logger.Error(errLeftover.Error()) })
		if a.listener.own() {
			a.taken.Store(true)
			go func() { // the client waits for SETTINGS before its first RPC
				defer a.listener.owned.Done()
				(&verifier{code: "13", message: errLeftover.Error()}).serve(a.conn, a.conn)
			}()
			return nil
		}
	}
	return a.conn.Close()
}
