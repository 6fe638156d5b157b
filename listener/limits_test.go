package listener_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"culvert/internal/testnet"
	"culvert/listener"
)

// byToken lets those in whose token is known.
func byToken(r *http.Request) (any, error) {
	switch who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); who {
	case "":
		return nil, &listener.RefusedError{StatusCode: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}}
	case "alice", "bob":
		return who, nil
	case "many":
		return nil, &listener.RefusedError{StatusCode: 429, Header: http.Header{"Retry-After": {"7"}}}
	default:
		return nil, &listener.RefusedError{StatusCode: 403}
	}
}

// TestRefusedBefore101 refuses what may not be let in, with the right status,
// and holds nothing for it.
func TestRefusedBefore101(t *testing.T) {
	l := listen(t, &listener.Config{Authorize: byToken, MaxHead: 2 << 10})
	for _, tt := range []struct {
		name, more    string
		status        int
		header, value string
	}{
		{"no credentials", "", 401, "Www-Authenticate", "Bearer"},
		{"a cookie alone", "Cookie: token=alice\r\n", 401, "Www-Authenticate", "Bearer"},
		{"bad token", "Authorization: Bearer eve\r\n", 403, "", ""},
		{"too many", "Authorization: Bearer many\r\n", 429, "Retry-After", "7"},
		{"cross-site", "Authorization: Bearer alice\r\nOrigin: https://evil.example\r\n", 403, "", ""},
		{"two origins", "Authorization: Bearer alice\r\nOrigin: http://h\r\nOrigin: https://evil.example\r\n", 403, "", ""},
		{"long head", "Authorization: Bearer alice\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n", 431, "", ""},
		{"bad session", "Authorization: Bearer alice\r\nCulvert-Session: guess\r\n", 400, "", ""},
		{
			"guessed session",
			"Authorization: Bearer alice\r\nCulvert-Attempt: 1\r\nCulvert-Offset: 0\r\nCulvert-Session: " + strings.Repeat("A", 43) + "\r\n",
			404, "", "",
		},
	} {
		r := ask(t, l, upgrade+tt.more+"\r\n")
		if r.StatusCode != tt.status || r.Header.Get(tt.header) != tt.value {
			t.Errorf("%s: got %d, %s: %q, want %d, %q", tt.name, r.StatusCode, tt.header, r.Header.Get(tt.header), tt.status, tt.value)
		}
	}
	got := l.Stats()
	if got.Opened != 0 || got.Sessions != 0 || got.Resumable != 0 || got.Replay != 0 {
		t.Errorf("got %+v, want nothing opened and nothing held", got)
	}
	if got.Refused.Unauthorized != 4 || got.Refused.Requests != 2 || got.Refused.Resumes != 2 {
		t.Errorf("got %+v", got.Refused)
	}
}

// TestWrongClientCertificate refuses who has none, or another one, in TLS.
func TestWrongClientCertificate(t *testing.T) {
	own, err := testnet.Certificate("client.test")
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := testnet.Certificate("client.test")
	if err != nil {
		t.Fatal(err)
	}
	server, client, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	server.ClientCAs.AddCert(own.Leaf)
	l := listen(t, &listener.Config{TLS: server})
	for _, tt := range []struct {
		name  string
		certs []tls.Certificate
		ok    bool
	}{{"none", nil, false}, {"wrong", []tls.Certificate{wrong}, false}, {"right", []tls.Certificate{own}, true}} {
		cfg := client.Clone()
		cfg.Certificates, cfg.NextProtos = tt.certs, []string{"http/1.1"}
		var status int
		if c, err := tls.Dial("tcp", l.Addr().String(), cfg); err == nil {
			_, _ = io.WriteString(c, upgrade+"\r\n")
			if r, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				status = r.StatusCode
			}
			_ = c.Close()
		}
		if (status == http.StatusSwitchingProtocols) != tt.ok || status != 0 && !tt.ok {
			t.Errorf("%s: got status %d", tt.name, status)
		}
	}
	got := l.Stats()
	for deadline := time.Now().Add(10 * time.Second); got.Opened+got.Refused.Broken < 3 && time.Now().Before(deadline); got = l.Stats() {
		<-time.After(time.Millisecond)
	}
	if got.Opened != 1 || got.Refused.Broken != 2 {
		t.Errorf("got %+v, want one opened and two broken", got)
	}
}

// TestMaxSessionsOfPrincipal refuses one caller and no other.
func TestMaxSessionsOfPrincipal(t *testing.T) {
	l := listen(t, &listener.Config{Authorize: byToken, MaxSessionsOfPrincipal: 2})
	open := func(who string) (net.Conn, *http.Response) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, upgrade+"Authorization: Bearer "+who+"\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c, r
	}
	open("alice")
	c, _ := open("alice")
	if _, r := open("alice"); r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" {
		t.Errorf("third of alice: got %d, Retry-After %q, want 429 with one", r.StatusCode, r.Header.Get("Retry-After"))
	}
	if _, r := open("bob"); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("first of bob: got %d, want 101", r.StatusCode)
	}
	_ = c.Close()
	for deadline := time.Now().Add(10 * time.Second); l.Stats().Sessions > 2; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the tunnel that was cut is still there")
		}
	}
	if _, r := open("alice"); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("alice, after one has ended: got %d, want 101", r.StatusCode)
	}
	until(t, "four are open", func() bool { return l.Stats().Opened == 4 }) // counted after the answer
	if got := l.Stats(); got.Opened != 4 || got.Refused.SessionsOfPrincipal != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestMaxSessionAge lets a tunnel go when it is old.
func TestMaxSessionAge(t *testing.T) {
	l := listen(t, &listener.Config{MaxSessionAge: 20 * time.Millisecond, MaxSessionAgeGrace: 20 * time.Millisecond})
	c := &client{T: t, log: &bytes.Buffer{}}
	c.dial(l, "")
	syn, goAway := []byte{0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0}, []byte{0, 3}
	c.send(ws.OpBinary, syn) // a stream, which stays open
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	var said []byte
	for {
		f, err := ws.ReadFrame(c.rd)
		if err != nil || f.Header.OpCode == ws.OpClose {
			break
		}
		said = append(said, f.Payload...)
	}
	if !bytes.HasPrefix(said[12:], goAway) { // after the stream's window
		t.Errorf("got %x, want a GoAway", said)
	}
}

// TestSlowHead closes a connection whose request never ends.
func TestSlowHead(t *testing.T) {
	l := listen(t, &listener.Config{HandshakeTimeout: 50 * time.Millisecond})
	for _, said := range []string{"", "P", "GET / HTTP/1.1\r\nHost:"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, said)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%q: got %v, want the end", said, err)
		}
		_ = c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); l.Stats().Handshakes > 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection that was closed still counts")
		}
	}
}

// TestWaitingHandshake shows that a handshake which waits for its certificate
// does not hold up others.
func TestWaitingHandshake(t *testing.T) {
	server, client, err := testnet.TLS("quick.test", "slow.test")
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	var slow sync.WaitGroup
	cert := server.Certificates[0]
	server.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "slow.test" {
			<-release
		}
		return &cert, nil
	}
	server.Certificates = nil
	l := listen(t, &listener.Config{TLS: server})
	config := func(name string) *tls.Config {
		c := client.Clone()
		c.ServerName = name
		return c
	}
	defer slow.Wait()
	defer close(release)
	for range 2 * runtime.GOMAXPROCS(0) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		slow.Go(func() { _ = tls.Client(c, config("slow.test")).Handshake() })
	}
	for range 3 {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), config("quick.test"))
		if err != nil {
			t.Fatalf("got %v from a handshake beside those that wait, want nil", err)
		}
		_ = c.Close()
	}
}
