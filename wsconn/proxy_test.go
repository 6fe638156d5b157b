package wsconn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// proxy is a CONNECT proxy for tests. It connects whatever name it is asked
// for to one address.
type proxy struct {
	net.Listener

	to     string // every tunnel ends there
	user   string // name:password that it wants, "" for none
	greets string // sent with the 200
	asked  chan string
}

func newProxy(t *testing.T, cfg *tls.Config, p *proxy) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "http"
	if cfg != nil {
		scheme, l = "https", tls.NewListener(l, cfg)
	}
	p.Listener, p.asked = l, make(chan string, 10)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return &url.URL{Scheme: scheme, Host: l.Addr().String()}
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	p.asked <- r.Method + " " + r.Host
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.user))
	if p.user != "" && r.Header.Get("Proxy-Authorization") != want {
		_, _ = io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\n"+
			"Proxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: 0\r\n\r\n")
		return
	}
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"+p.greets)
	go func() {
		_, _ = io.Copy(to, c)
		_ = to.Close()
	}()
	_, _ = io.Copy(c, to)
}

// echoes serves an Upgrader whose connections echo, at a name that only a
// proxy can resolve; it returns its address and what trusts it.
func echoes(t *testing.T, secure bool) (addr string, client *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if secure {
		server, trusting, err := testnet.TLS("api.invalid")
		if err != nil {
			t.Fatal(err)
		}
		l, client = tls.NewListener(l, server), trusting
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := new(wsconn.Upgrader).Upgrade(w, r)
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return addr, client
}

// TestDialThroughProxy dials ws and wss through http and https proxies, with
// the credentials of the proxy's URL; the name is left to the proxy.
func TestDialThroughProxy(t *testing.T) {
	serverTLS, proxyTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"ws", "wss"} {
		for _, over := range []*tls.Config{nil, serverTLS} {
			t.Run(fmt.Sprintf("%s/https proxy=%v", scheme, over != nil), func(t *testing.T) {
				to, trusting := echoes(t, scheme == "wss")
				p := &proxy{to: to, user: "u@corp:p:w"}
				u := newProxy(t, over, p)
				u.User = url.UserPassword("u@corp", "p:w")
				d := &wsconn.Dialer{TLS: trusting, Proxy: http.ProxyURL(u), ProxyTLS: proxyTLS}
				c, err := d.Dial(t.Context(), scheme+"://api.invalid/path")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if want := map[string]string{"ws": "CONNECT api.invalid:80", "wss": "CONNECT api.invalid:443"}[scheme]; want != <-p.asked {
					t.Errorf("the proxy was not asked to %s", want)
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

// TestEarlyBytesOfATunnel delivers what came in one packet with the 200.
func TestEarlyBytesOfATunnel(t *testing.T) {
	to, _ := echoes(t, false)
	d := &wsconn.Dialer{Proxy: http.ProxyURL(newProxy(t, nil, &proxy{to: to, greets: "early"}))}
	c, err := d.Connect(t.Context(), &url.URL{Scheme: "https", Host: "[::1]:8443"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "early" {
		t.Errorf("got %q, %v, want early", got, err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("got %v, %v behind it, want 426", r, err)
	}
}

// TestProxyRefuses checks what Dial says of a proxy that does not do it. The
// password is never part of that.
func TestProxyRefuses(t *testing.T) {
	user := url.UserPassword("u", "sesame")
	foreign, _, err := testnet.TLS("elsewhere.invalid")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		user   *url.Userinfo
		change func(*url.URL)
		cfg    *tls.Config
		want   string
		status int
	}{
		{"407 without credentials", nil, nil, nil, "407 Proxy Authentication Required, Proxy-Authenticate: Basic", 407},
		{"407 with credentials", user, nil, nil, "407 Proxy Authentication Required, Proxy-Authenticate: Basic", 407},
		{"scheme", user, func(u *url.URL) { u.Scheme = "socks4" }, nil, `scheme "socks4" is not http, https, socks5 or socks5h`, 0},
		{"its certificate", user, nil, foreign, "TLS with proxy", 0},
		{"speaks no TLS", user, func(u *url.URL) { u.Scheme = "https" }, nil, "TLS with proxy", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newProxy(t, tt.cfg, &proxy{user: "u:other"})
			u.User = tt.user
			if tt.change != nil {
				tt.change(u)
			}
			_, err := (&wsconn.Dialer{Proxy: http.ProxyURL(u)}).Dial(t.Context(), "ws://api.invalid/")
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), u.Host) {
				t.Fatalf("got %v, want %q and the proxy %s", err, tt.want, u.Host)
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error holds the password: %v", err)
			}
			var status *wsconn.StatusError
			if errors.As(err, &status) != (tt.status != 0) || status != nil &&
				(status.StatusCode != tt.status || status.Proxy != u.Host || status.Op != "CONNECT") {
				t.Errorf("got %#v, want status %d of the proxy", status, tt.status)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		u := &url.URL{Scheme: "http", Host: l.Addr().String(), User: user}
		_, err = (&wsconn.Dialer{Proxy: http.ProxyURL(u)}).Dial(t.Context(), "ws://api.invalid/")
		if err == nil || !strings.Contains(err.Error(), "proxy "+u.Host) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("got %v, want the proxy's address and no password", err)
		}
	})
	t.Run("choosing fails", func(t *testing.T) {
		wrong := errors.New("no PAC file")
		d := &wsconn.Dialer{Proxy: func(r *http.Request) (*url.URL, error) {
			if got := r.URL.String(); got != "https://api.invalid/x" {
				t.Errorf("Proxy was asked about %s, want https://api.invalid/x", got)
			}
			return nil, wrong
		}}
		if _, err := d.Dial(t.Context(), "wss://api.invalid/x"); !errors.Is(err, wrong) {
			t.Errorf("got %v, want %v", err, wrong)
		}
	})
}

// TestProxyIsSilent bounds a proxy that takes the connection and never
// answers, or ends it.
func TestProxyIsSilent(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/closes=%v", scheme, gone), func(t *testing.T) {
				near, far := net.Pipe()
				defer far.Close()
				d := &wsconn.Dialer{
					HandshakeTimeout: 30 * time.Millisecond,
					Proxy:            http.ProxyURL(&url.URL{Scheme: scheme, Host: "proxy.invalid:3128"}),
					DialContext:      func(context.Context, string, string) (net.Conn, error) { return near, nil },
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if gone {
						_, _ = far.Read(make([]byte, 4096))
						_ = far.Close()
						return
					}
					_, _ = io.Copy(io.Discard, far) // until the dialer closes its end
				}()
				want := context.DeadlineExceeded
				if gone {
					want = io.ErrUnexpectedEOF
				}
				_, err := d.Dial(t.Context(), "ws://api.invalid/")
				if !errors.Is(err, want) && !(gone && errors.Is(err, io.EOF)) {
					t.Errorf("got %v, want %v", err, want)
				}
				<-ended
			})
		}
	}
}
