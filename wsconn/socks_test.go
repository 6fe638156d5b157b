package wsconn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"culvert/wsconn"
)

// socksProxy is a SOCKS5 proxy for tests (RFC 1928, RFC 1929). It connects
// whatever it is asked for to one address.
type socksProxy struct {
	to     string // every connection ends there
	user   string // name:password that it wants, "" for none
	reply  byte   // to the request; 0 grants it
	greets string // sent with the reply
	asked  chan string
}

func newSocks(t *testing.T, p *socksProxy) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p.asked = make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				p.serve(c)
			}()
		}
	}()
	return &url.URL{Scheme: "socks5", Host: l.Addr().String()}
}

func (p *socksProxy) serve(c net.Conn) {
	defer close(p.asked) // one connection is all that a test makes
	r := socksReader{c}
	if !p.admits(r, c) {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	head := r.take(4)
	var host string
	switch {
	case string(head[:3]) != "\x05\x01\x00":
		return
	case head[3] == 3:
		host = "name " + string(r.take(int(r.take(1)[0])))
	default:
		host = "IP " + net.IP(r.take(map[byte]int{1: 4, 4: 16}[head[3]])).String()
	}
	port := r.take(2)
	p.asked <- fmt.Sprintf("%s port %d", host, int(port[0])<<8|int(port[1]))
	bound := map[byte]string{1: "\x01\x7f\x00\x00\x01\x00\x50", 3: "\x03\x01h\x00\x50", 4: "\x04" + strings.Repeat("\x00", 18)}
	_, _ = io.WriteString(c, "\x05"+string(p.reply)+"\x00"+bound[head[3]]+p.greets)
	if p.reply != 0 {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, c)
		_ = to.Close()
	}()
	_, _ = io.Copy(c, to)
}

// admits does the choice of a method, and the authentication.
func (p *socksProxy) admits(r socksReader, w io.Writer) bool {
	methods := string(r.take(int(r.take(2)[1])))
	switch {
	case p.user == "":
		_, _ = io.WriteString(w, "\x05\x00")
		return true
	case !strings.Contains(methods, "\x02"):
		_, _ = io.WriteString(w, "\x05\xff")
		return false
	}
	_, _ = io.WriteString(w, "\x05\x02")
	user := string(r.take(int(r.take(2)[1])))
	password := string(r.take(int(r.take(1)[0])))
	if user+":"+password != p.user {
		_, _ = io.WriteString(w, "\x01\x01")
		return false
	}
	_, _ = io.WriteString(w, "\x01\x00")
	return true
}

// socksReader takes fields of a request; those that do not come are zeros.
type socksReader struct{ io.Reader }

func (r socksReader) take(n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(r, b)
	return b
}

// TestDialThroughSOCKS dials ws and wss through SOCKS5 proxies, with and
// without credentials; the name is left to the proxy.
func TestDialThroughSOCKS(t *testing.T) {
	for _, scheme := range []string{"ws", "wss"} {
		for _, proxyScheme := range []string{"socks5", "socks5h"} {
			for _, user := range []string{"", "u@corp:p:w"} {
				t.Run(strings.Join([]string{scheme, proxyScheme, user}, "/"), func(t *testing.T) {
					to, trusting := echoes(t, scheme == "wss")
					p := &socksProxy{to: to, user: user}
					u := newSocks(t, p)
					u.Scheme, u.User = proxyScheme, url.UserPassword("u@corp", "p:w")
					d := &wsconn.Dialer{TLS: trusting, Proxy: http.ProxyURL(u)}
					c, err := d.Dial(t.Context(), scheme+"://api.invalid/path")
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					want := map[string]string{"ws": "name api.invalid port 80", "wss": "name api.invalid port 443"}[scheme]
					if got := <-p.asked; got != want {
						t.Errorf("the proxy was asked for %s, want %s", got, want)
					}
					_, _ = io.WriteString(c, "hello")
					got := make([]byte, 5)
					if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
						t.Errorf("got %q, %v, want hello", got, err)
					}
				})
			}
		}
	}
}

// TestConnectSOCKS gives the proxy addresses of each kind, and delivers what
// came in one packet with its reply, on the connection that was dialled.
func TestConnectSOCKS(t *testing.T) {
	to, _ := echoes(t, false)
	for host, want := range map[string]string{
		"api.invalid:81": "name api.invalid port 81", "192.0.2.1": "IP 192.0.2.1 port 443",
		"[2001:db8::1]:8443": "IP 2001:db8::1 port 8443",
	} {
		p := &socksProxy{to: to, greets: "early"}
		d := &wsconn.Dialer{Proxy: http.ProxyURL(newSocks(t, p))}
		c, err := d.Connect(t.Context(), &url.URL{Scheme: "https", Host: host})
		if err != nil {
			t.Fatal(err)
		}
		if got := <-p.asked; got != want {
			t.Errorf("%s: the proxy was asked for %s, want %s", host, got, want)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "early" {
			t.Errorf("%s: got %q, %v, want early", host, got, err)
		}
		if _, ok := c.(*net.TCPConn); !ok {
			t.Errorf("%s: got a %T, want the TCP connection itself", host, c)
		}
		_ = c.Close()
	}
}

// TestSOCKSRefuses checks what Dial says of a SOCKS5 proxy that does not do
// it, without the password, and that the connection is closed.
func TestSOCKSRefuses(t *testing.T) {
	user := url.UserPassword("u", "sesame")
	for _, tt := range []struct {
		name, host, want string
		user             *url.Userinfo
		p                socksProxy
	}{
		{"wants credentials", "api.invalid", "no acceptable authentication methods", nil, socksProxy{user: "u:other"}},
		{"wrong credentials", "api.invalid", "username/password authentication failed", user, socksProxy{user: "u:other"}},
		{"long password", "api.invalid", "invalid username/password",
			url.UserPassword("u", strings.Repeat("sesame", 50)), socksProxy{user: "u:p"}},
		{"rules", "api.invalid", "connection not allowed by ruleset", user, socksProxy{reply: 2}},
		{"unreachable", "api.invalid", "host unreachable", user, socksProxy{reply: 4}},
		{"long name", strings.Repeat("a", 256), "FQDN too long", user, socksProxy{}},
		{"port", "api.invalid:0", "port number out of range", user, socksProxy{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newSocks(t, &tt.p)
			u.User = tt.user
			_, err := (&wsconn.Dialer{Proxy: http.ProxyURL(u)}).Dial(t.Context(), "ws://"+tt.host+"/")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "SOCKS5 proxy "+u.Host) ||
				!strings.Contains(err.Error(), tt.host) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("got %v, want %q, %s, the proxy %s and no password", err, tt.want, tt.host, u.Host)
			}
			for range tt.p.asked { // until the connection is closed
			}
		})
	}
	t.Run("speaks HTTP", func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		go func() {
			_, _ = io.ReadFull(far, make([]byte, 3))
			_, _ = io.WriteString(far, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}()
		d := &wsconn.Dialer{
			Proxy:       http.ProxyURL(&url.URL{Scheme: "socks5", Host: "proxy.invalid:3128"}),
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}
		_, err := d.Dial(t.Context(), "ws://api.invalid/")
		if err == nil || !strings.Contains(err.Error(), "SOCKS5 proxy proxy.invalid:3128: unexpected protocol version 72") {
			t.Errorf("got %v, want that it is not SOCKS5", err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		refused := errors.New("refused")
		d := &wsconn.Dialer{
			Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: "proxy.invalid", User: user}),
			DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
				if addr != "proxy.invalid:1080" {
					t.Errorf("%s was dialled, want proxy.invalid:1080", addr)
				}
				return nil, refused
			},
		}
		_, err := d.Dial(t.Context(), "ws://api.invalid/")
		if !errors.Is(err, refused) || !strings.Contains(err.Error(), "proxy proxy.invalid:1080") {
			t.Errorf("got %v, want %v and the proxy", err, refused)
		}
	})
	t.Run("TLS beyond", func(t *testing.T) {
		to, _ := echoes(t, true)
		d := &wsconn.Dialer{Proxy: http.ProxyURL(newSocks(t, &socksProxy{to: to}))}
		var untrusted *tls.CertificateVerificationError
		_, err := d.Dial(t.Context(), "wss://api.invalid/")
		if !errors.As(err, &untrusted) || !strings.Contains(err.Error(), "TLS with api.invalid:443") {
			t.Errorf("got %v, want one about the certificate of the server", err)
		}
	})
}

// TestSOCKSIsSilent bounds a proxy that stops answering at any step, or ends
// the connection there.
func TestSOCKSIsSilent(t *testing.T) {
	for _, said := range []string{"", "\x05", "\x05\x02", "\x05\x00", "\x05\x00\x05\x00\x00\x01\x7f"} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%x/closes=%v", said, gone), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := net.Pipe()
					d := &wsconn.Dialer{
						Proxy:       http.ProxyURL(&url.URL{Scheme: "socks5", Host: "proxy.invalid", User: url.UserPassword("u", "p")}),
						DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
					}
					go func() { _, _ = io.Copy(io.Discard, far) }()
					go func() {
						_, _ = io.WriteString(far, said)
						if gone {
							_ = far.Close()
						}
					}()
					want, after := context.DeadlineExceeded, 10*time.Second
					if gone {
						want, after = io.ErrUnexpectedEOF, 0
					}
					start := time.Now()
					_, err := d.Dial(t.Context(), "ws://api.invalid/")
					if took := time.Since(start); !gone && !errors.Is(err, want) || took != after || err == nil {
						t.Errorf("got %v after %v, want %v after %v", err, took, want, after)
					}
					if gone && !errors.Is(err, want) && !errors.Is(err, io.ErrClosedPipe) { // as it meets a read or a write
						t.Errorf("got %v, want %v", err, want)
					}
					if err != nil && !strings.Contains(err.Error(), "proxy proxy.invalid:1080") {
						t.Errorf("got %v, want the proxy named", err)
					}
					if _, err := near.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
						t.Errorf("the connection was not closed: Write gives %v", err)
					}
				})
			})
		}
	}
}
