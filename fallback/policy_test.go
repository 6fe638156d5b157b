package fallback

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
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
	return fmt.Errorf("dial: %w", &wsconn.StatusError{Op: "CONNECT", StatusCode: code})
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
		{"refused", &unreachableError{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, ambiguous},
		{"EOF", io.EOF, ambiguous},
		{"not TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, ambiguous},
		{"handshake failure", alert("handshake failure"), ambiguous},
		{"CONNECT 403", refusal(403), ambiguous},
		{"CONNECT 502", refusal(502), ambiguous},
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

// TestBothFailed latches neither way and takes them in turn.
func TestBothFailed(t *testing.T) {
	p := newPolicy()
	now := time.Unix(1e9, 0)
	p.verified(now, "verified")
	for n, wantTunnel := range []bool{true, false, true, false} {
		p.bothFailed()
		if got, want := p.next(now), (plan{tunnel: wantTunnel, verify: true}); got != want {
			t.Errorf("failure %d: got %+v, want %+v", n+1, got, want)
		}
	}
}

// TestUnverified relies on a native connection only once it was verified.
func TestUnverified(t *testing.T) {
	p := newPolicy()
	now := time.Unix(1e9, 0)
	p.nativeWorks(now, "HTTP/2 answers")
	if got := p.next(now); got != (plan{verify: true}) {
		t.Errorf("not verified: got %+v, want native with verification", got)
	}
	p.verified(now, "verified")
	if got := p.next(now.Add(p.recheck - 1)); got != (plan{}) {
		t.Errorf("verified: got %+v, want native", got)
	}
	if got := p.next(now.Add(p.recheck)); got != (plan{verify: true}) {
		t.Errorf("verified long ago: got %+v, want native with verification", got)
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
	if p.failures != 0 || p.turn == Tunnel {
		t.Errorf("got %d failures and turn %v, want none", p.failures, p.turn)
	}
}

// TestMemory keeps what holds, forgets the rest, and is bounded.
func TestMemory(t *testing.T) {
	m := &memory{verdicts: map[key]verdict{}, flights: map[key]*flight{}}
	now := time.Unix(1e9, 0)
	v := verdict{way: Tunnel, until: now.Add(time.Minute)}
	k := key{scheme: "https", authority: "h:443"}
	m.store(k, v, now)
	if got, ok := m.load(k, now); !ok || got != v {
		t.Errorf("got %+v, %v, want %+v", got, ok, v)
	}
	if _, ok := m.load(key{scheme: "https", authority: "h:443", proxy: "http://p"}, now); ok {
		t.Error("another proxy: got a verdict")
	}
	if _, ok := m.load(k, v.until); ok {
		t.Error("at its end: got a verdict")
	}
	for n := range 2 * maxRemembered {
		m.store(key{authority: fmt.Sprint(n)}, v, now)
	}
	if got := len(m.verdicts); got > maxRemembered {
		t.Errorf("got %d verdicts, want %d at most", got, maxRemembered)
	}
	f, first := m.enter(k, flight{addr: "a"})
	other, second := m.enter(k, flight{addr: "b"})
	if !first || second || other != f {
		t.Errorf("enter: got %v and %v, want true and false, and one flight", first, second)
	}
	m.leave(k, f, io.EOF)
	<-other.done
	if _, again := m.enter(k, flight{}); !again {
		t.Error("enter after leave: got false, want true")
	}
}
