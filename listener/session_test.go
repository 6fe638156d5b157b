package listener_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"culvert/internal/testnet"
	"culvert/listener"
	"culvert/wsconn"
)

// certified returns a Listener that asks for client certificates, and two of
// them with which clients are let in.
func certified(t *testing.T, cfg *listener.Config) (*listener.Listener, [2]*tls.Config) {
	t.Helper()
	server, client, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName, client.NextProtos = "127.0.0.1", []string{"http/1.1"}
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	var clients [2]*tls.Config
	for i := range clients {
		cert, err := testnet.Certificate("client.test")
		if err != nil {
			t.Fatal(err)
		}
		server.ClientCAs.AddCert(cert.Leaf)
		clients[i] = client.Clone()
		clients[i].Certificates = []tls.Certificate{cert}
	}
	cfg.TLS = server
	return listen(t, cfg), clients
}

// TestRenewedCertificate shows who decides about a client that resumes with a
// renewed certificate.
func TestRenewedCertificate(t *testing.T) {
	byName := func(r *http.Request) (any, error) { return r.TLS.PeerCertificates[0].DNSNames[0], nil }
	whole := func(r *http.Request) (any, error) { return r.TLS.PeerCertificates[0], nil }
	sameName := func(a, b any) bool {
		x, y := a.(*x509.Certificate), b.(*x509.Certificate)
		return !x.Equal(y) && x.DNSNames[0] == y.DNSNames[0]
	}
	for _, tt := range []struct {
		name      string
		authorize func(*http.Request) (any, error)
		same      func(a, b any) bool
		want      int
	}{
		{"nobody", nil, nil, 403},
		{"nobody, with a principal", byName, nil, 403},
		{"SamePrincipal, of principals", byName, func(a, b any) bool { return a == "client.test" && a == b }, 101},
		{"SamePrincipal, of principals that are certificates", whole, sameName, 101},
		{"SamePrincipal, of certificates", nil, sameName, 101},
		{"SamePrincipal, which refuses", byName, func(any, any) bool { return false }, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, clients := certified(t, &listener.Config{Authorize: tt.authorize, SamePrincipal: tt.same})
			dial := func(cfg *tls.Config, h http.Header) (http.Header, int) {
				d := &wsconn.Dialer{TLS: cfg, Subprotocols: []string{listener.ProtocolV1}, Header: h}
				c, err := d.Dial(t.Context(), "wss://"+l.Addr().String()+"/culvert")
				if err != nil {
					var status *wsconn.StatusError
					if !errors.As(err, &status) {
						t.Fatal(err)
					}
					return status.Header, status.StatusCode
				}
				t.Cleanup(c.Abort)
				_, _ = c.Write(bytes.Repeat([]byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}, 10))
				return c.Header(), http.StatusSwitchingProtocols
			}
			granted, _ := dial(clients[0], http.Header{"Culvert-Resume": {"1"}})
			_, status := dial(clients[1], http.Header{
				"Culvert-Session": granted["Culvert-Session"], "Culvert-Attempt": {"1"}, "Culvert-Offset": {"0"},
			})
			if status != tt.want {
				t.Errorf("got %d, want %d", status, tt.want)
			}
		})
	}
}

// TestWhoAnswers shows that every 101, and the refusal of a session that is
// unknown, name the server, and a 101 how many streams a tunnel has.
func TestWhoAnswers(t *testing.T) {
	var other *http.Response
	t.Run("other server", func(t *testing.T) {
		other = ask(t, listen(t, nil), upgrade+"Culvert-Session: "+strings.Repeat("B", 43)+"\r\nCulvert-Attempt: 1\r\nCulvert-Offset: 0\r\n\r\n")
	})
	here := listen(t, nil)
	c := &client{T: t, log: &bytes.Buffer{}}
	plain := c.dial(here, "")
	c.conn.Close()
	granted := c.dial(here, "Culvert-Resume: 1\r\n")
	own := granted.Get("Culvert-Instance")
	if own == "" || own != plain.Get("Culvert-Instance") || granted.Get("Culvert-Max-Streams") != "256" {
		t.Errorf("got %v and %v, want the same instance, and 256 streams", plain, granted)
	}
	resume := "Culvert-Session: " + granted.Get("Culvert-Session") + "\r\nCulvert-Attempt: 1\r\nCulvert-Offset: 0\r\n"
	if name := other.Header.Get("Culvert-Instance"); other.StatusCode != http.StatusNotFound || name == "" || name == own {
		t.Errorf("the other server: got %d of %q, want 404 with a name that is not %q", other.StatusCode, name, own)
	}
	unknown := strings.Repeat("A", 43)
	lost := ask(t, here, upgrade+strings.Replace(resume, granted.Get("Culvert-Session"), unknown, 1)+"\r\n")
	if name := lost.Header.Get("Culvert-Instance"); lost.StatusCode != http.StatusNotFound || name != own {
		t.Errorf("the same server: got %d of %q, want 404 of %q", lost.StatusCode, name, own)
	}
}

// TestUnconfirmed serves a client that has asked for a session and does not know
// that it got one: a hop dropped the field. It gets no text, and is pinged by mux.
func TestUnconfirmed(t *testing.T) {
	l := listen(t, &listener.Config{WebSocket: &wsconn.Config{PingInterval: 20 * time.Millisecond, SilenceTimeout: 10 * time.Second}})
	c := &client{T: t, log: &bytes.Buffer{}}
	c.dial(l, "Culvert-Resume: 1\r\nCulvert-Confirm: 1\r\n")
	c.send(ws.OpBinary, []byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7})
	pinged := 0
	for pinged < 3 {
		f, err := ws.ReadFrame(c.rd)
		if err != nil || f.Header.OpCode != ws.OpBinary {
			t.Fatalf("got %v, %v, want no text", f, err)
		}
		if bytes.HasPrefix(f.Payload, []byte{0, 2, 0, 1}) {
			pinged++
			c.send(ws.OpBinary, append([]byte{0, 2, 0, 2}, f.Payload[4:]...))
		}
	}
	if got := l.Stats(); got.Resumable != 0 || got.Sessions != 1 {
		t.Errorf("got %+v, want a tunnel that cannot be resumed", got)
	}
	_ = c.conn.Close()
	until(t, "the tunnel ends with its WebSocket", func() bool { return l.Stats().Sessions == 0 })
}

// TestSilentUnconfirmed ends such a tunnel when its client answers no more.
func TestSilentUnconfirmed(t *testing.T) {
	l := listen(t, &listener.Config{WebSocket: &wsconn.Config{PingInterval: 20 * time.Millisecond, SilenceTimeout: 40 * time.Millisecond}})
	c := &client{T: t, log: &bytes.Buffer{}}
	c.dial(l, "Culvert-Resume: 1\r\nCulvert-Confirm: 1\r\n")
	c.send(ws.OpBinary, []byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7})
	_, _ = io.Copy(io.Discard, c.rd)
	until(t, "the tunnel ends", func() bool { return l.Stats().Sessions == 0 })
}

// TestAbandoned ends soon a tunnel that its client left before it was of use.
func TestAbandoned(t *testing.T) {
	for _, more := range []string{"", "Culvert-Confirm: 1\r\n"} {
		t.Run(more, func(t *testing.T) {
			l := listen(t, &listener.Config{Authorize: byToken})
			c := &client{T: t, log: &bytes.Buffer{}}
			c.dial(l, "Culvert-Resume: 1\r\nCulvert-First-Stream: 1\r\nAuthorization: Bearer alice\r\n"+more)
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = c.conn.Close()
			if _, err := server.Read(make([]byte, 1)); err == nil {
				t.Error("got data, want the end")
			}
			_ = server.Close()
			until(t, "it does not count any more", func() bool { return l.Stats().Sessions == 0 })
		})
	}
}

// TestCloseDetached ends a tunnel whose client is gone 5 s after Close, with the
// stream that a server waits for.
func TestCloseDetached(t *testing.T) {
	l := listen(t, nil)
	c := &client{T: t, log: &bytes.Buffer{}}
	c.dial(l, "Culvert-Resume: 1\r\n")
	hello := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	c.send(ws.OpBinary, []byte("\x00\x01\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00"+
		"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x18"+hello+"\x00\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07"))
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, len(hello))); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_ = c.conn.Close()
	_ = l.Close()
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Error("got data, want the end")
	}
	_ = server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Shutdown(ctx); err != nil || time.Since(start) < 4*time.Second {
		t.Errorf("got %v after %v, want nil after 5 s", err, time.Since(start))
	}
}
