package wsconn

import (
	"context"
	"crypto/tls"
	"net"

	"culvert/internal/cork"
)

// TLSError is returned by Dial and Connect when TLS with the server or with an
// https proxy failed.
type TLSError struct {
	Host  string // host:port of the server, or of the proxy
	Proxy bool   // it was the proxy

	// Unanswered says that the ClientHello was sent and not a byte came
	// back before Err, a reset, the end of the connection or of the time. A
	// middlebox that drops a ClientHello for its size or for what it offers
	// does that; so does a server that is overloaded.
	Unanswered bool

	Err error // of crypto/tls, of the connection, or the cause of the context
}

func (e *TLSError) Error() string {
	text := "wsconn: TLS with "
	if e.Proxy {
		text += "proxy "
	}
	text += e.Host + ": "
	if e.Unanswered {
		text += "no answer to the ClientHello: "
	}
	return text + e.Err.Error()
}

func (e *TLSError) Unwrap() error { return e.Err }

// secure does TLS with the host on c, offering http/1.1 alone. It closes c if
// that fails; the error is of the host at.
func secure(ctx context.Context, c net.Conn, cfg *tls.Config, host, at string) (net.Conn, *TLSError) {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	noted := &noting{Conn: c}
	beneath := cork.New(noted)
	t := tls.Client(beneath, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, &TLSError{Host: at, Unanswered: noted.wrote && !noted.read, Err: err}
	}
	beneath.MoveTo(c)
	return t, nil
}

// noting notes whether anything was written, and read, for one goroutine.
type noting struct {
	net.Conn

	wrote, read bool
}

func (n *noting) Read(p []byte) (int, error) {
	m, err := n.Conn.Read(p)
	n.read = n.read || m > 0
	return m, err
}

func (n *noting) Write(p []byte) (int, error) {
	m, err := n.Conn.Write(p)
	n.wrote = n.wrote || m > 0
	return m, err
}
