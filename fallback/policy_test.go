package fallback

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"culvert/wsconn"
)

func newPolicy() *policy { return &policy{maxAttempts: 10, recheck: 10 * time.Minute} }

// refusal is what a proxy answered a CONNECT with.
func refusal(code int) error {
	return fmt.Errorf("dial: %w", &unreachedError{&wsconn.StatusError{Op: "CONNECT", StatusCode: code}})
}

// alert is what crypto/tls makes of an alert of the server: its own type has a
// text alone.
func alert(text string) error {
	return fmt.Errorf("TLS: %w", &net.OpError{Op: "remote error", Err: errors.New("tls: " + text)})
}

// TestClasses goes through the signs of the three classes.
func TestClasses(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want class
	}{
		{"no application protocol", alert("no application protocol"), definite},
		{"unadvertised ALPN", fmt.Errorf("TLS: %w", errors.New(unadvertised)), definite},
		{"sign", fmt.Errorf("HTTP/2: %w", &signError{class: definite, what: "HTTP 426"}), definite},
		{"timeout", os.ErrDeadlineExceeded, ambiguous},
		{"dial deadline", context.DeadlineExceeded, ambiguous},
		{"silence", silence(time.Second), ambiguous},
		{"reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, ambiguous},
		{"refused", &unreachedError{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, never},
		{"TCP deadline", &unreachedError{silence(time.Second)}, never},
		{"EOF", io.EOF, ambiguous},
		{"not TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, ambiguous},
		{"handshake failure", alert("handshake failure"), ambiguous},
		{"CONNECT 403", refusal(403), never},
		{"CONNECT 502", refusal(502), never},
		{"unknown", errors.New("never seen before"), ambiguous},
		{"CONNECT 407", refusal(407), never},
		{"DNS", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "h"}}, never},
		{"cancelled", fmt.Errorf("dial: %w", context.Canceled), never},
		{"issuer", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, never},
		{"host", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}, never},
		{"expired", x509.CertificateInvalidError{Reason: x509.Expired}, never},
		{"client's certificate", alert("certificate required"), never},
	} {
		if got := classify(tt.err); got != tt.want {
			t.Errorf("%s: got class %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestDefinite gives native up at once and begins with the tunnel the next time.
func TestDefinite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy()
		p.verified(time.Now(), "verified")
		if got := p.nativeFailed(time.Now(), &signError{class: definite}); got != yield {
			t.Errorf("step: got %d, want yield", got)
		}
		if got, want := p.next(time.Now()), (plan{tunnel: true, verify: true}); got != want {
			t.Errorf("next: got %+v, want %+v", got, want)
		}
	})
}

// TestAttempts counts to ten, or 30 s, and begins anew after a success.
func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy()
		fail := func() step { return p.nativeFailed(time.Now(), io.EOF) }
		for n := 1; n < 10; n++ {
			if got := fail(); got != again {
				t.Fatalf("failure %d: got step %d, want again", n, got)
			}
		}
		p.nativeWorks(time.Now(), "works")
		for n := 1; n < 10; n++ {
			if got := fail(); got != again {
				t.Fatalf("failure %d after a success: got step %d, want again", n, got)
			}
		}
		if got := fail(); got != yield {
			t.Errorf("failure 10: got step %d, want yield", got)
		}
		p.nativeWorks(time.Now(), "works")
		fail()
		<-time.After(attemptsWindow - 1)
		if got := fail(); got != again {
			t.Errorf("before the window ended: got step %d, want again", got)
		}
		<-time.After(1)
		if got := fail(); got != yield {
			t.Errorf("after the window: got step %d, want yield", got)
		}
	})
}

// TestPace doubles up to a limit.
func TestPace(t *testing.T) {
	p := newPolicy()
	p.maxAttempts = 1000
	want := basePace
	for range 100 {
		p.nativeFailed(time.Time{}, io.EOF)
		if got := p.pace(); got != want {
			t.Fatalf("failure %d: got %v, want %v", p.failures, got, want)
		}
		want = min(2*want, maxPace)
	}
}

// TestVerdict lasts for its time and is renewed for twice as long each time
// that native does not pass, up to a limit.
func TestVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy()
		p.nativeFailed(time.Now(), &signError{class: definite})
		p.tunnelWorks(time.Now(), "sign")
		life := p.recheck
		for range 8 {
			since := time.Now()
			<-time.After(life*9/10 - 1)
			p.tunnelWorks(time.Now(), "another stream") // prolongs nothing
			if got := p.next(time.Now()); got != (plan{tunnel: true}) {
				t.Fatalf("%v after: got %+v, want the tunnel", time.Since(since), got)
			}
			<-time.After(life/10 + 1)
			if got := p.next(time.Now()); !got.verify {
				t.Fatalf("%v after: got %+v, want no verdict", time.Since(since), got)
			}
			p.stillClosed(time.Now(), io.EOF)
			life = min(2*life, maxRecheck)
		}
		if life != maxRecheck {
			t.Errorf("life: got %v, want %v", life, maxRecheck)
		}
		p.verified(time.Now(), "probes passed")
		if got := p.next(time.Now()); got != (plan{}) {
			t.Errorf("after good probes: got %+v, want native", got)
		}
		p.nativeFailed(time.Now(), &signError{class: definite})
		p.tunnelWorks(time.Now(), "sign")
		<-time.After(p.recheck)
		if got := p.next(time.Now()); !got.verify {
			t.Errorf("the life of a verdict did not begin anew: got %+v", got)
		}
	})
}

// TestBothFailed latches neither way and tries both at once the next time.
func TestBothFailed(t *testing.T) {
	p := newPolicy()
	now := time.Unix(1e9, 0)
	p.verified(now, "verified")
	for n := range 4 {
		p.bothFailed()
		if got, want := p.next(now), (plan{both: true, verify: true}); got != want {
			t.Errorf("failure %d: got %+v, want %+v", n+1, got, want)
		}
	}
}

// TestUnverified relies on a native connection for a short time only, unless it
// was verified.
func TestUnverified(t *testing.T) {
	p := newPolicy()
	now := time.Unix(1e9, 0)
	p.nativeWorks(now, "HTTP/2 answers")
	if got := p.next(now); got != (plan{}) {
		t.Errorf("not verified: got %+v, want native", got)
	}
	if got := p.next(now.Add(unprovenLife)); got != (plan{verify: true}) {
		t.Errorf("not verified, later: got %+v, want native with verification", got)
	}
	p.verified(now, "verified")
	if got := p.next(now.Add(p.recheck - 1)); got != (plan{}) {
		t.Errorf("verified: got %+v, want native", got)
	}
	if got := p.next(now.Add(p.recheck)); got != (plan{verify: true}) {
		t.Errorf("verified long ago: got %+v, want native with verification", got)
	}
}

// TestWeak relies on the tunnel for a short time if nothing but silence and cuts
// spoke for it, and for longer each time.
func TestWeak(t *testing.T) {
	p := newPolicy()
	now := time.Unix(1e9, 0)
	for want := weakLife; want < p.recheck; want *= 2 {
		p.nativeFailed(now, io.EOF)
		p.tunnelWorks(now, "cut")
		if got := p.verdict.until.Sub(now); got > want || got < want*9/10 || !p.weak() {
			t.Errorf("got a verdict for %v, want %v", got, want)
		}
		p.verified(now, "verified")
	}
}

// TestReported counts nothing of what is reported.
func TestReported(t *testing.T) {
	p := newPolicy()
	for range 20 {
		if got := p.nativeFailed(time.Time{}, refusal(407)); got != report {
			t.Fatalf("got step %d, want report", got)
		}
	}
	if p.failures != 0 || p.shut {
		t.Errorf("got %d failures and shut %v, want none", p.failures, p.shut)
	}
}

// TestMemory keeps what holds, forgets the rest, and is bounded.
func TestMemory(t *testing.T) {
	m := &memory{verdicts: map[key]verdict{}, flights: map[flightKey]*flight{}}
	now := time.Unix(1e9, 0)
	v := verdict{way: Tunnel, until: now.Add(time.Minute)}
	k := (&Dialer{}).key(destinationOf("h:443"))
	m.store(k, v, now)
	if got, ok := m.load(k, now); !ok || got != v {
		t.Errorf("got %+v, %v, want %+v", got, ok, v)
	}
	for name, d := range map[string]*Dialer{
		"cleartext": {Insecure: true},
		"path":      {Path: "/other"},
		"TLS":       {TLS: &tls.Config{RootCAs: x509.NewCertPool()}},
		"network":   {NetDial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }},
		"proxy":     {Proxy: func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "http", Host: "p"}, nil }},
	} {
		if _, ok := m.load(d.key(destinationOf("h:443")), now); ok {
			t.Errorf("another %s: got a verdict", name)
		}
	}
	if _, ok := m.load(k, v.until); ok {
		t.Error("at its end: got a verdict")
	}
	for n := range 2 * maxRemembered {
		m.store(key{path: fmt.Sprint(n)}, v, now)
	}
	if got := len(m.verdicts); got > maxRemembered {
		t.Errorf("got %d verdicts, want %d at most", got, maxRemembered)
	}
	a := flightKey{k, "a"}
	f, first := m.enter(a)
	other, second := m.enter(a)
	if _, elsewhere := m.enter(flightKey{k, "b"}); !elsewhere {
		t.Error("another address: got false, want true")
	}
	if !first || second || other != f {
		t.Errorf("enter: got %v and %v, want true and false, and one flight", first, second)
	}
	m.leave(a, f, io.EOF)
	<-other.done
	if _, again := m.enter(a); !again {
		t.Error("enter after leave: got false, want true")
	}
}
