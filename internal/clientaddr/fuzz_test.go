package clientaddr

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// FuzzXForwardedFor resolves lists, of which a client wrote the left part.
func FuzzXForwardedFor(f *testing.F) {
	f.Add("", "")
	f.Add("1.1.1.1, unknown", "10.0.0.2")
	f.Add("1.1.1.1:80", "[fd00::2]:80, ::ffff:10.0.0.3")
	f.Add("\"", "fe80::1%x")
	f.Fuzz(func(t *testing.T, left, right string) {
		checkForgery(t, XForwardedFor, left, right, []string{"198.51.100.1", "198.51.100.1:0", "[2001:db8::1]:80"})
	})
}

// FuzzForwarded does so with RFC 7239.
func FuzzForwarded(f *testing.F) {
	f.Add("", "")
	f.Add("for=1.1.1.1;host=\"", "for=10.0.0.2;proto=https")
	f.Add("for=\"\\", "For=\"[fd00::2]:80\";host=\"a\\\"b, for=1.1.1.1\", for=\"10.0.0.2:_x\"")
	f.Add("for=unknown, for=_x;", ";by=_x ; for=[fd00::3],")
	f.Fuzz(func(t *testing.T, left, right string) {
		checkForgery(t, Forwarded, left, right, []string{"for=198.51.100.1", `proto=http;for="198.51.100.1:0";host="a,b"`, `for="[2001:db8::1]:80"`})
	})
}

// checkForgery checks that a client, whose address a trusted proxy adds as one
// of entries does, does not change what is found by what it wrote to the left,
// no matter what is to the right.
func checkForgery(t *testing.T, name, left, right string, entries []string) {
	peer, outsider := netip.MustParseAddrPort(proxy), netip.MustParseAddrPort(stranger)
	resolve := func(peer netip.AddrPort, lines ...string) netip.AddrPort {
		return Resolve(peer, http.Header{name: lines}, name, proxies)
	}
	if got := resolve(outsider, left, right); got != outsider {
		t.Errorf("got %s from an untrusted peer", got)
	}
	if got := resolve(peer, left, right); !got.IsValid() || got.Addr().Zone() != "" || got.Addr().Is4In6() {
		t.Errorf("got %s", got)
	}
	for i, entry := range entries {
		want := "198.51.100.1:0"
		if i == 2 {
			want = "[2001:db8::1]:80"
		}
		for _, lines := range [][]string{{left + "," + entry}, {left + ", " + entry}, {left, entry}} {
			if got := resolve(peer, lines...).String(); got != want {
				t.Errorf("%q: got %s, want %s", lines, got, want)
			}
			lines = append(lines, right)
			alone := resolve(peer, entry, right)
			if got := resolve(peer, lines...); got != alone {
				t.Errorf("%q: got %s, want %s", lines, got, alone)
			}
		}
		joined := entry + "," + right
		if got, alone := resolve(peer, left+","+joined), resolve(peer, joined); got != alone && !strings.Contains(right, `"`) {
			t.Errorf("%q after %q: got %s, want %s", joined, left, got, alone)
		}
	}
}

// stream is a connection that reads what a Reader has.
type stream struct {
	net.Conn

	r     io.Reader
	asked int // bytes at once
}

func (s *stream) Read(p []byte) (int, error) { s.asked = max(s.asked, len(p)); return s.r.Read(p) }
func (s *stream) Close() error               { return nil }
func (s *stream) RemoteAddr() net.Addr       { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }

// FuzzProxyHead reads arbitrary bytes: how they are cut does not matter, what
// is behind the head is data, and no more is read at once than a head may have.
func FuzzProxyHead(f *testing.F) {
	for _, c := range heads(f) {
		f.Add(c.head)
		f.Add(append(c.head, "hello"...))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte(signature2 + "\x21\x11\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		type result struct{ data, addr, err string }
		read := func(r io.Reader) (res result) {
			s := &stream{r: r}
			c := newConn(s, time.Hour)
			defer c.Close()
			res.addr = c.RemoteAddr().(*net.TCPAddr).String()
			if s.asked > minHead2+maxPayload || cap(c.buf) > 2*(minHead2+maxPayload) {
				t.Errorf("reads up to %d bytes, holds %d", s.asked, cap(c.buf))
			}
			data, err := io.ReadAll(c)
			if res.data = string(data); err != nil {
				res.err = err.Error()
			}
			return res
		}
		whole := read(bytes.NewReader(b))
		if bytewise := read(iotest.OneByteReader(bytes.NewReader(b))); bytewise != whole {
			t.Errorf("got %+v, want %+v", bytewise, whole)
		}
		if whole.err == "" && !bytes.HasSuffix(b, []byte(whole.data)) {
			t.Errorf("got %q, which is not the end of what was sent", whole.data)
		}
		if whole.err != "" && whole.data != "" {
			t.Errorf("got %q and %s", whole.data, whole.err)
		}
	})
}
