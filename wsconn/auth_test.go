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
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// legs is a proxy that gives each CONNECT, on whatever connection it comes,
// the next answer of a list, and closes the connection after one that ends
// with cut. Once it accepted, it echoes.
type legs struct {
	answers []string
	conns   sync.WaitGroup

	mu    sync.Mutex
	asked []string // number of the connection and Proxy-Authorization
}

const cut = "<cut>"

func (p *legs) serve(l net.Listener) {
	for n := 1; ; n++ {
		c, err := l.Accept()
		if err != nil {
			return
		}
		p.conns.Go(func() {
			defer c.Close()
			for br := bufio.NewReader(c); p.answer(c, br, n); {
			}
		})
	}
}

// answer answers one CONNECT and reports whether another may follow.
func (p *legs) answer(c net.Conn, br *bufio.Reader, n int) bool {
	r, err := http.ReadRequest(br)
	if err != nil {
		return false
	}
	p.mu.Lock()
	p.asked = append(p.asked, fmt.Sprint(n, " ", r.Header.Get("Proxy-Authorization")))
	answer := p.answers[min(len(p.asked), len(p.answers))-1]
	p.mu.Unlock()
	text, last := strings.CutSuffix(answer, cut)
	_, err = io.WriteString(c, text)
	if strings.Contains(answer, " 200 ") {
		_, _ = io.Copy(c, br)
		return false
	}
	return !last && err == nil
}

// ends waits for the connections to be closed and returns what was asked.
func (p *legs) ends() []string {
	p.conns.Wait()
	return p.asked
}

func newLegs(t *testing.T, cfg *tls.Config, answers ...string) (*legs, *url.URL) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u := &url.URL{Scheme: "http", Host: l.Addr().String()}
	if cfg != nil {
		l, u.Scheme = tls.NewListener(l, cfg), "https"
	}
	p := &legs{answers: answers}
	go p.serve(l)
	return p, u
}

const (
	wants   = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Steps\r\n"
	accepts = "HTTP/1.1 200 Connection established\r\n\r\nearly"
)

// TestProxyAuth does a scheme of three legs. They share a connection unless
// the proxy ends it, or a body makes that cheaper than reading on.
func TestProxyAuth(t *testing.T) {
	serverTLS, proxyTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	sized := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n)) }
	for _, tt := range []struct {
		name, answer string
		conns        []int
	}{
		{"no body", wants + sized(0), []int{1, 1, 1}},
		{"long body", wants + sized(256<<10), []int{1, 1, 1}},
		{"too long body", wants + sized(256<<10+1), []int{1, 2, 3}},
		{"chunked", wants + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", []int{1, 1, 1}},
		{"interim", "HTTP/1.1 102 x\r\n\r\n" + wants + sized(1), []int{1, 1, 1}},
		{"Connection: close", wants + "Connection: close\r\n" + sized(9), []int{1, 2, 3}},
		{"Proxy-Connection: close", wants + "Proxy-Connection: Close\r\n" + sized(9), []int{1, 2, 3}},
		{"closes unannounced", wants + sized(9) + cut, []int{1, 2, 3}},
		{"body until it closes", wants + "\r\nlog in" + cut, []int{1, 2, 3}},
		{"body cut short", wants + "Content-Length: 9\r\n\r\nlog in" + cut, []int{1, 2, 3}},
		{"HTTP/1.0", strings.Replace(wants, "1.1", "1.0", 1) + sized(9) + cut, []int{1, 2, 3}},
		{"HTTP/1.0 that goes on", strings.Replace(wants, "1.1", "1.0", 1) + "Proxy-Connection: keep-alive\r\n" + sized(9), []int{1, 1, 1}},
		{"HTTP/1.0 that also closes", strings.Replace(wants, "1.1", "1.0", 1) +
			"Proxy-Connection: keep-alive\r\nConnection: close\r\n" + sized(9), []int{1, 2, 3}},
	} {
		for _, over := range []*tls.Config{nil, serverTLS} {
			t.Run(fmt.Sprintf("%s/https=%v", tt.name, over != nil), func(t *testing.T) {
				p, u := newLegs(t, over, tt.answer, tt.answer, accepts)
				u.User = url.UserPassword("u", "p")
				steps := 0
				d := &wsconn.Dialer{Proxy: http.ProxyURL(u), ProxyTLS: proxyTLS}
				d.ProxyAuth = func(ctx context.Context, proxy *url.URL, answer *http.Response) (http.Header, error) {
					_, bounded := ctx.Deadline()
					body, err := io.ReadAll(answer.Body)
					if proxy.Host != u.Host || answer.StatusCode != 407 || answer.Header.Get("Proxy-Authenticate") != "Steps" ||
						err != nil || len(body) > 1024 || !bounded || (answer.TLS != nil) != (over != nil) {
						t.Errorf("got %v, %+v, body %q, %v, bounded: %v", proxy, answer, body, err, bounded)
					}
					steps++
					return http.Header{"Proxy-Authorization": {fmt.Sprint("Steps ", steps)}}, nil
				}
				c, err := d.Connect(t.Context(), &url.URL{Scheme: "ws", Host: "api.invalid"})
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(c, " and late")
				got := make([]byte, len("early and late"))
				if _, err := io.ReadFull(c, got); err != nil || string(got) != "early and late" {
					t.Errorf("got %q, %v behind it", got, err)
				}
				_ = c.Close()
				want := []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("u:p")), "Steps 1", "Steps 2"}
				for i := range want {
					want[i] = fmt.Sprint(tt.conns[i], " ", want[i])
				}
				if got := p.ends(); !slices.Equal(got, want) {
					t.Errorf("got CONNECTs %q, want %q", got, want)
				}
			})
		}
	}
}

// TestProxyAuthFails ends the dial with the 407, and leaves no connection.
func TestProxyAuthFails(t *testing.T) {
	const refuses = wants + "Proxy-Authenticate: Basic realm=x\r\nContent-Length: 4\r\n\r\nnope"
	noTicket := errors.New("no ticket")
	for _, tt := range []struct {
		name   string
		answer string
		header http.Header
		err    error
		want   string
		legs   int
	}{
		{"error", refuses, http.Header{}, noTicket, "; ProxyAuth: no ticket", 1},
		{"no header", refuses, nil, nil, `Proxy-Authenticate: Steps, Basic realm=x: "nope"`, 1},
		{"without end", refuses, http.Header{}, nil, "; gave up after 8 CONNECTs", 8},
		{"without end, each closed", strings.Replace(refuses, "\r\n", "\r\nConnection: close\r\n", 1), http.Header{}, nil,
			"; gave up after 8 CONNECTs", 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, u := newLegs(t, nil, tt.answer)
			d := &wsconn.Dialer{Proxy: http.ProxyURL(u)}
			d.ProxyAuth = func(context.Context, *url.URL, *http.Response) (http.Header, error) { return tt.header, tt.err }
			_, err := d.Dial(t.Context(), "wss://api.invalid/")
			var status *wsconn.StatusError
			if !errors.As(err, &status) || status.StatusCode != 407 || status.Proxy != u.Host || !errors.Is(err, tt.err) && tt.err != nil {
				t.Fatalf("got %v, want a StatusError of the proxy, and %v", err, tt.err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "set ProxyAuth") {
				t.Errorf("got %v, want %q and no advice to set what is set", err, tt.want)
			}
			if got := p.ends(); len(got) != tt.legs {
				t.Errorf("got %d CONNECTs, want %d: %q", len(got), tt.legs, got)
			}
		})
	}
	t.Run("other status", func(t *testing.T) {
		p, u := newLegs(t, nil, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
		d := &wsconn.Dialer{Proxy: http.ProxyURL(u)}
		d.ProxyAuth = func(context.Context, *url.URL, *http.Response) (http.Header, error) {
			t.Error("ProxyAuth was asked")
			return nil, nil
		}
		var status *wsconn.StatusError
		if _, err := d.Dial(t.Context(), "wss://api.invalid/"); !errors.As(err, &status) || status.StatusCode != 403 {
			t.Errorf("got %v, want a StatusError with 403", err)
		}
		_ = p.ends()
	})
	t.Run("gone", func(t *testing.T) {
		near, far := net.Pipe()
		gone := errors.New("gone")
		d := &wsconn.Dialer{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.invalid:3128"})}
		d.DialContext = func(context.Context, string, string) (net.Conn, error) {
			if near == nil {
				return nil, gone
			}
			defer func() { near = nil }()
			return near, nil
		}
		d.ProxyAuth = func(context.Context, *url.URL, *http.Response) (http.Header, error) {
			_ = far.Close()
			return http.Header{}, nil
		}
		go func() {
			_, _ = http.ReadRequest(bufio.NewReader(far))
			_, _ = io.WriteString(far, wants+"Content-Length: 0\r\n\r\n")
		}()
		_, err := d.Dial(t.Context(), "ws://api.invalid/")
		if !errors.Is(err, gone) || !strings.Contains(err.Error(), "proxy.invalid:3128") {
			t.Errorf("got %v, want what the second dial said, with the proxy", err)
		}
	})
}

// TestProxyAuthTimes gives a body that does not end 3 s, and less if the
// context ends before.
func TestProxyAuthTimes(t *testing.T) {
	for _, limit := range []time.Duration{0, 2 * time.Second} {
		t.Run(limit.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := testPipe{make(chan net.Conn), make(chan struct{})}
				p := &legs{answers: []string{wants + "Content-Length: 9\r\n\r\nhalf", "HTTP/1.1 200 OK\r\n\r\n"}}
				go p.serve(l)
				d := &wsconn.Dialer{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.invalid:3128"}), DialContext: l.dial}
				d.ProxyAuth = func(context.Context, *url.URL, *http.Response) (http.Header, error) { return http.Header{}, nil }
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, limit)
				}
				defer cancel()
				start := time.Now()
				c, err := d.Connect(ctx, &url.URL{Scheme: "ws", Host: "api.invalid"})
				took := time.Since(start)
				switch {
				case limit == 0 && (err != nil || took != 3*time.Second):
					t.Errorf("got %v after %v, want a tunnel after 3 s", err, took)
				case limit > 0 && (!errors.Is(err, context.DeadlineExceeded) || took != limit):
					t.Errorf("got %v after %v, want the end of the context after %v", err, took, limit)
				}
				if err == nil {
					_ = c.Close()
				}
				_ = l.Close()
				_ = p.ends()
			})
		})
	}
}

// testPipe is a listener whose connections are pipes.
type testPipe struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l testPipe) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	l.conns <- far
	return near, nil
}

func (l testPipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l testPipe) Close() error   { close(l.closed); return nil }
func (l testPipe) Addr() net.Addr { return nil }
