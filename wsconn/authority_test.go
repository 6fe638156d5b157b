package wsconn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// teapot answers what is dialled, and keeps what was dialled and asked for.
type teapot struct {
	network, addr string
	request       *http.Request // the last one
	hosts         int           // fields Host in it
	ended         chan struct{}
}

// dial is a Dialer.DialContext.
func (p *teapot) dial(_ context.Context, network, addr string) (net.Conn, error) {
	near, far := net.Pipe()
	p.network, p.addr, p.ended = network, addr, make(chan struct{})
	go func() {
		defer close(p.ended)
		defer far.Close()
		for br := bufio.NewReader(far); ; {
			var head strings.Builder
			for !strings.HasSuffix(head.String(), "\r\n\r\n") {
				line, err := br.ReadString('\n')
				if err != nil {
					return
				}
				head.WriteString(line)
			}
			p.hosts = strings.Count(strings.ToLower(head.String()), "\r\nhost:")
			p.request, _ = http.ReadRequest(bufio.NewReader(strings.NewReader(head.String())))
			answer := "HTTP/1.1 418 x\r\nContent-Length: 0\r\n\r\n"
			if strings.HasPrefix(head.String(), "CONNECT ") {
				answer = "HTTP/1.1 200 OK\r\n\r\n"
			}
			_, _ = io.WriteString(far, answer)
		}
	}()
	return near, nil
}

// ask has d ask for rawURL, and returns the Host that it sent, or its error if
// that is not of the teapot.
func (p *teapot) ask(t *testing.T, d *wsconn.Dialer, rawURL string) (host string, err error) {
	t.Helper()
	d.DialContext = p.dial
	_, err = d.Dial(t.Context(), rawURL)
	if p.ended != nil {
		<-p.ended
	}
	if status := (*wsconn.StatusError)(nil); !errors.As(err, &status) || status.StatusCode != http.StatusTeapot {
		return "", err
	}
	if p.hosts != 1 {
		t.Errorf("got %d fields Host, want 1", p.hosts)
	}
	return p.request.Host, nil
}

func direct(*http.Request) (*url.URL, error) { return nil, nil }

// TestHost has the Host of the URL sent, without what is not part of it, or the
// one that the caller sets; or it says why not.
func TestHost(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		header    http.Header
		want      string // "" for an error
		addr      string // that is dialled
	}{
		{"plain", "ws://api.example.com/", nil, "api.example.com", "api.example.com:80"},
		{"default port", "ws://api.example.com:80/", nil, "api.example.com", "api.example.com:80"},
		{"empty port", "ws://api.example.com:/", nil, "api.example.com", "api.example.com:80"},
		{"port of wss", "ws://api.example.com:443/", nil, "api.example.com:443", "api.example.com:443"},
		{"other port", "ws://api.example.com:8080/", nil, "api.example.com:8080", "api.example.com:8080"},
		{"no path", "ws://api.example.com?q=1", nil, "api.example.com", "api.example.com:80"},
		{"IPv6", "ws://[::1]/", nil, "[::1]", "[::1]:80"},
		{"IPv6, default port", "ws://[::1]:80/", nil, "[::1]", "[::1]:80"},
		{"IPv6, other port", "ws://[::1]:81/", nil, "[::1]:81", "[::1]:81"},
		{"zone", "ws://[fe80::1%25eth7]:80/", nil, "[fe80::1]", "[fe80::1%eth7]:80"},
		{"zone, other port", "ws://[fe80::1%25eth7]:81/", nil, "[fe80::1]:81", "[fe80::1%eth7]:81"},
		{"port alone", "ws://:8080/", nil, "localhost:8080", ":8080"},
		{"user info", "ws://user:pw@api.example.com/", nil, "api.example.com", "api.example.com:80"},
		{"name of another script", "ws://b\u00fccher.example/", nil, "xn--bcher-kva.example", "xn--bcher-kva.example:80"},
		{"Header", "ws://10.0.0.1:50051/", http.Header{"Host": {"api.example.com"}}, "api.example.com", "10.0.0.1:50051"},
		{"Header with a port", "ws://10.0.0.1/", http.Header{"Host": {"api.example.com:80"}}, "api.example.com:80", "10.0.0.1:80"},
		{"Header in lower case", "ws://10.0.0.1/", http.Header{"host": {"api.example.com"}}, "api.example.com", "10.0.0.1:80"},
		{"empty Header", "ws://h/", http.Header{"Host": {""}}, "h", "h:80"},
		{"zone in Header", "ws://10.0.0.1/", http.Header{"Host": {"[fe80::1%eth7]:1"}}, "[fe80::1]:1", "10.0.0.1:80"},
		{"two in Header", "ws://h/", http.Header{"Host": {"a", "b"}}, "", "h:80"},
		{"two spellings in Header", "ws://h/", http.Header{"Host": {"a"}, "host": {"b"}}, "", "h:80"},
		{"space in Header", "ws://h/", http.Header{"Host": {"a b"}}, "", "h:80"},
		{"path in Header", "ws://h/", http.Header{"Host": {"a/b"}}, "", "h:80"},
		{"lines in Header", "ws://h/", http.Header{"Host": {"a\r\nX: y"}}, "", "h:80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, prepared := range []bool{false, true} {
				d, p := &wsconn.Dialer{Proxy: direct}, &teapot{}
				if prepared {
					d.Prepare = func(h http.Header) {
						for k, v := range tt.header {
							h[k] = v
						}
					}
				} else {
					d.Header = tt.header
				}
				got, err := p.ask(t, d, tt.url)
				if got != tt.want || p.addr != tt.addr || p.network != "tcp" {
					t.Errorf("got Host %q, %v of %s %s, want %q of %s", got, err, p.network, p.addr, tt.want, tt.addr)
				}
				if shook := (*wsconn.HandshakeError)(nil); tt.want == "" && (!errors.As(err, &shook) || !strings.Contains(err.Error(), "Host")) {
					t.Errorf("got %v, want a HandshakeError about Host", err)
				}
			}
		})
	}
}

// TestFraming leaves out fields of Header that would contradict the framing,
// however they are spelled.
func TestFraming(t *testing.T) {
	d, p := &wsconn.Dialer{Proxy: direct, Header: http.Header{
		"content-length": {"5"}, "TRANSFER-ENCODING": {"chunked"}, "upgrade": {"h2c"}, "connection": {"close"}, "x-a": {"b"},
	}}, &teapot{}
	if _, err := p.ask(t, d, "ws://h/"); err != nil {
		t.Fatal(err)
	}
	r := p.request
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 || r.Header.Get("X-A") != "b" || len(r.Header["Upgrade"]) != 1 || r.Header.Get("Connection") != "Upgrade" {
		t.Errorf("got %v, length %d, %v", r.Header, r.ContentLength, r.TransferEncoding)
	}
}

// TestAddr dials Addr. Host and the choice of the proxy follow the URL, and a
// proxy is asked for the URL's host, as another machine understands it.
func TestAddr(t *testing.T) {
	for _, tt := range []struct {
		name, url, addr, network string
		proxied                  string // CONNECT with a proxy; "" if that is not asked
	}{
		{"name", "ws://api.example.com:8080/", "10.0.0.1:50051", "", "api.example.com:8080"},
		{"IPv6 with a zone", "ws://api.example.com/", "[fe80::1%eth7]:80", "tcp6", "api.example.com:80"},
		{"named port", "ws://api.example.com/", "10.0.0.1:https", "tcp4", "api.example.com:80"},
		{"zone in the URL", "ws://[fe80::1%25eth7]:81/", "", "", "[fe80::1]:81"},
		{"unix", "ws://localhost/", "/run/api.sock", "unix", ""},
		{"abstract", "ws://localhost/", "@api", "unix", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			p := &teapot{}
			d := &wsconn.Dialer{Addr: tt.addr, Network: tt.network, Proxy: direct}
			wantAddr := tt.addr
			if wantAddr == "" {
				wantAddr = u.Host
			}
			if _, err := p.ask(t, d, tt.url); err != nil || p.addr != wantAddr || tt.network != "" && p.network != tt.network {
				t.Errorf("got %s %s, %v, want %s %s", p.network, p.addr, err, tt.network, wantAddr)
			}
			var chose, connect string
			d.Proxy = func(r *http.Request) (*url.URL, error) {
				chose = r.URL.Host
				return &url.URL{Scheme: "http", Host: "proxy.invalid:3128"}, nil
			}
			d.ProxyHeader = func(_ context.Context, _ *url.URL, target string) (http.Header, error) {
				connect = target
				return nil, nil
			}
			if _, err := p.ask(t, d, tt.url); err != nil || connect != tt.proxied {
				t.Errorf("got CONNECT %q, %v, want %q", connect, err, tt.proxied)
			}
			switch {
			case tt.proxied == "" && (p.network != tt.network || p.addr != tt.addr || chose != ""):
				t.Errorf("got %s %s, the proxy chosen for %q; want no proxy", p.network, p.addr, chose)
			case tt.proxied != "" && (p.network != "tcp" || p.addr != "proxy.invalid:3128" || strings.Contains(chose, "%") || !strings.HasPrefix(tt.proxied, chose)):
				t.Errorf("got %s %s, chosen for %s, want tcp to the proxy for %s", p.network, p.addr, chose, tt.proxied)
			}
		})
	}
	t.Run("unix without Addr", func(t *testing.T) {
		_, err := (&wsconn.Dialer{Network: "unix"}).Dial(t.Context(), "ws://localhost/")
		if err == nil || !strings.Contains(err.Error(), "Addr is empty") {
			t.Errorf("got %v, want an error about Addr", err)
		}
	})
}

// TestConnectNamedPort takes a port by name where a URL was not parsed.
func TestConnectNamedPort(t *testing.T) {
	for _, tt := range []struct{ host, direct, proxied string }{
		{"api.example.com:https", "api.example.com:https", "api.example.com:443"},
		{"[fe80::1%eth7]:http", "[fe80::1%eth7]:http", "[fe80::1]:80"},
		{"::1", "[::1]:443", "[::1]:443"},
		{"[::1]", "[::1]:443", "[::1]:443"},
		{"api.example.com:", "api.example.com:443", "api.example.com:443"},
	} {
		t.Run(tt.host, func(t *testing.T) {
			p, asked := &teapot{}, ""
			d := &wsconn.Dialer{Proxy: direct, DialContext: p.dial}
			c, err := d.Connect(t.Context(), &url.URL{Scheme: "https", Host: tt.host})
			if err != nil || p.addr != tt.direct {
				t.Fatalf("got %s, %v, want %s", p.addr, err, tt.direct)
			}
			_ = c.Close()
			<-p.ended
			d.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "[::1]"})
			d.ProxyHeader = func(_ context.Context, _ *url.URL, target string) (http.Header, error) {
				asked = target
				return nil, nil
			}
			c, err = d.Connect(t.Context(), &url.URL{Scheme: "https", Host: tt.host})
			if err != nil || p.addr != "[::1]:80" || asked != tt.proxied {
				t.Fatalf("got %s through %s, %v, want %s through [::1]:80", asked, p.addr, err, tt.proxied)
			}
			_ = c.Close()
			<-p.ended
			if got := p.request; got.Host != tt.proxied || got.RequestURI != tt.proxied {
				t.Errorf("got CONNECT %s, Host %s, want %s", got.RequestURI, got.Host, tt.proxied)
			}
		})
	}
	if _, err := (&wsconn.Dialer{Proxy: direct}).Connect(t.Context(), &url.URL{Scheme: "https", Host: "h:no-such-port"}); err == nil {
		t.Error("got no error for a port of no service")
	}
}

// TestSocksAddress gives a SOCKS5 proxy an IPv6 address without its zone, as an
// address.
func TestSocksAddress(t *testing.T) {
	to, _ := echoes(t, false)
	p := &socksProxy{to: to}
	d := &wsconn.Dialer{Proxy: http.ProxyURL(newSocks(t, p)), Addr: "192.0.2.1:1"}
	c, err := d.Dial(t.Context(), "ws://[fe80::1%25eth7]:81/")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if got := <-p.asked; got != "IP fe80::1 port 81" {
		t.Errorf("got %s, want IP fe80::1 port 81", got)
	}
}

// TestUnix dials sockets that are files or abstract.
func TestUnix(t *testing.T) {
	addrs := map[string]string{"file": filepath.Join(t.TempDir(), "s")}
	if runtime.GOOS == "linux" {
		addrs["abstract"] = "@culvert-" + strings.ReplaceAll(t.TempDir(), "/", "-")
	}
	for name, addr := range addrs {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("unix", addr)
			if err != nil {
				t.Fatal(err)
			}
			hosts := make(chan string, 1)
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				hosts <- r.Host
				if c, err := new(wsconn.Upgrader).Upgrade(w, r); err == nil {
					_, _ = io.Copy(c, c)
					_ = c.Close()
				}
			})}
			go func() { _ = srv.Serve(l) }()
			defer srv.Close()
			c, err := (&wsconn.Dialer{Network: "unix", Addr: addr}).Dial(t.Context(), "ws://localhost/")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "hello")
			got := make([]byte, 5)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Errorf("got %q, %v, want hello", got, err)
			}
			if host := <-hosts; host != "localhost" {
				t.Errorf("got Host %q, want localhost", host)
			}
		})
	}
}

// TestServerName sends and verifies the host of the URL, wherever it is, or
// TLS.ServerName.
func TestServerName(t *testing.T) {
	server, trusting, err := testnet.TLS("api.invalid", "fe80::1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	names := make(chan string, 1)
	server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}
	for _, tt := range []struct{ name, url, override, want string }{
		{"the URL's host", "wss://api.invalid:8443/", "", "api.invalid"},
		{"zone", "wss://[fe80::1%25eth7]/", "", ""},
		{"port alone", "wss://:443/", "", "localhost"},
		{"override", "wss://other.invalid/", "api.invalid", "api.invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := trusting.Clone()
			cfg.ServerName = tt.override
			d := &wsconn.Dialer{TLS: cfg, Addr: "192.0.2.1:1", Proxy: direct, DialContext: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					defer far.Close()
					s := tls.Server(far, server)
					if r, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
						_, _ = io.WriteString(s, "HTTP/1.1 418 "+r.Host+"\r\nContent-Length: 0\r\n\r\n")
					}
				}()
				return near, nil
			}}
			_, err := d.Dial(t.Context(), tt.url)
			if got := <-names; got != tt.want {
				t.Errorf("got SNI %q, want %q", got, tt.want)
			}
			if status := (*wsconn.StatusError)(nil); !errors.As(err, &status) {
				t.Errorf("got %v, want the name verified", err)
			}
		})
	}
}
