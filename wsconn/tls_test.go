package wsconn_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"culvert/wsconn"
)

// TestDialUntrusted refuses a certificate that it does not trust, and closes
// the connection.
func TestDialUntrusted(t *testing.T) {
	addr, _ := echoes(t, true)
	var below net.Conn
	d := &wsconn.Dialer{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var nd net.Dialer
		c, err := nd.DialContext(ctx, network, addr)
		below = c
		return c, err
	}}
	_, err := d.Dial(t.Context(), "wss://api.invalid/")
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "TLS with api.invalid:443") {
		t.Errorf("got %v, want an UnknownAuthorityError that names the server", err)
	}
	if _, err := io.WriteString(below, "x"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection beneath was not closed: Write gives %v", err)
	}
}

// TestUnanswered tells a ClientHello to which nothing came back from other ends
// of TLS, with a server and with a proxy.
func TestUnanswered(t *testing.T) {
	alert := []byte{21, 3, 3, 0, 2, 2, 40} // handshake_failure
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for _, tt := range []struct {
		name   string
		end    error  // of Read; nil for silence
		answer []byte // before that
		hello  bool   // the ClientHello can be sent
		want   bool
		err    error
	}{
		{"reset", reset, nil, true, true, syscall.ECONNRESET},
		{"end", io.EOF, nil, true, true, io.EOF},
		{"silence", nil, nil, true, true, context.DeadlineExceeded},
		{"alert", nil, alert, true, false, nil},
		{"half of an answer", reset, alert[:3], true, false, syscall.ECONNRESET},
		{"nothing sent", reset, nil, false, false, syscall.EPIPE},
	} {
		for _, scheme := range []string{"wss", "https"} {
			t.Run(tt.name+" of "+scheme, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := &wsconn.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
						near, far := net.Pipe()
						go func() {
							_, _ = io.Copy(io.Discard, far)
							_ = far.Close()
						}()
						return &cutConn{Conn: near, answer: tt.answer, end: tt.end, mute: !tt.hello}, nil
					}, Proxy: direct}
					url, host := "wss://api.invalid/", "api.invalid:443"
					if scheme == "https" {
						d.Proxy = http.ProxyURL(&neturl.URL{Scheme: "https", Host: "proxy.invalid"})
						host = "proxy.invalid:443"
					}
					_, err := d.Dial(t.Context(), url)
					failed := (*wsconn.TLSError)(nil)
					if !errors.As(err, &failed) || tt.err != nil && !errors.Is(err, tt.err) {
						t.Fatalf("got %v, want a TLSError with %v", err, tt.err)
					}
					if failed.Unanswered != tt.want || failed.Host != host || failed.Proxy != (scheme == "https") {
						t.Errorf("got %#v, want unanswered %v of %s", failed, tt.want, host)
					}
				})
			})
		}
	}
}

// cutConn is a connection on which answer comes, and then end.
type cutConn struct {
	net.Conn

	answer []byte
	end    error
	mute   bool // nothing can be written
}

func (c *cutConn) Read(p []byte) (int, error) {
	switch {
	case len(c.answer) > 0:
		n := copy(p, c.answer)
		c.answer = c.answer[n:]
		return n, nil
	case c.end != nil:
		return 0, c.end
	}
	return c.Conn.Read(p)
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.mute {
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(p)
}
