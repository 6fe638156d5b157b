package clientaddr

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// loopback trusts the tests' own connections.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// accept connects to a Listen over TCP.
func accept(t testing.TB, trusted []netip.Prefix, timeout time.Duration) (client, server net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, trusted, timeout)
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// head returns one as the library makes it.
func head(t testing.TB, version byte, from net.Addr) []byte {
	t.Helper()
	var to net.Addr
	switch a := from.(type) {
	case *net.TCPAddr:
		to = &net.TCPAddr{IP: a.IP, Port: 443}
	case *net.UDPAddr:
		to = &net.UDPAddr{IP: a.IP, Port: 443}
	default:
		to = from
	}
	b, err := proxyproto.HeaderProxyFromAddrs(version, from, to).Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// heads are well-formed; "" is the socket's own address.
func heads(t testing.TB) map[string]struct {
	head []byte
	want string
} {
	v4 := &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 1234}
	v6 := &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535}
	large := proxyproto.HeaderProxyFromAddrs(2, v4, v4)
	if err := large.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 4000)}}); err != nil {
		t.Fatal(err)
	}
	withTLVs, err := large.Format()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]struct {
		head []byte
		want string
	}{
		"v1 IPv4":        {head(t, 1, v4), "198.51.100.1:1234"},
		"v1 IPv6":        {head(t, 1, v6), "[2001:db8::1]:65535"},
		"v1 mapped":      {[]byte("PROXY TCP6 ::ffff:198.51.100.1 ::1 1234 443\r\n"), "198.51.100.1:1234"},
		"v1 unknown":     {[]byte("PROXY UNKNOWN\r\n"), ""},
		"v1 unknown, IP": {[]byte("PROXY UNKNOWN 1.1.1.1 1.1.1.2 1 2\r\n"), ""},
		"v2 IPv4":        {head(t, 2, v4), "198.51.100.1:1234"},
		"v2 IPv6":        {head(t, 2, v6), "[2001:db8::1]:65535"},
		"v2 UDP":         {head(t, 2, &net.UDPAddr{IP: v4.IP, Port: 5}), "198.51.100.1:5"},
		"v2 Unix":        {head(t, 2, &net.UnixAddr{Net: "unix", Name: "/tmp/x"}), ""},
		"v2 local":       {[]byte(signature2 + "\x20\x00\x00\x00"), ""},
		"v2 local, IP":   {[]byte(signature2 + "\x20\x11\x00\x0c\x01\x01\x01\x01\x01\x01\x01\x02\x00\x01\x00\x02"), ""},
		"v2 TLVs":        {withTLVs, "198.51.100.1:1234"},
	}
}

// TestHeads sends heads and data over TCP.
func TestHeads(t *testing.T) {
	for name, c := range heads(t) {
		t.Run(name, func(t *testing.T) {
			client, server := accept(t, loopback, time.Minute)
			client.Write(append(c.head, "hello"...))
			want := c.want
			if want == "" {
				want = client.LocalAddr().String()
			}
			a, ok := server.RemoteAddr().(*net.TCPAddr)
			if !ok || a.String() != want {
				t.Errorf("got %T %v, want %s", server.RemoteAddr(), a, want)
			}
			if got := server.LocalAddr().String(); got != client.RemoteAddr().String() {
				t.Errorf("got local address %s, want %s", got, client.RemoteAddr())
			}
			server.Write([]byte("back"))
			checkRead(t, server, "hello")
			checkRead(t, client, "back")
		})
	}
}

func checkRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestUntrusted takes what looks like a head for data.
func TestUntrusted(t *testing.T) {
	for name, c := range heads(t) {
		t.Run(name, func(t *testing.T) {
			client, server := accept(t, proxies, time.Nanosecond)
			if _, ok := server.(*net.TCPConn); !ok {
				t.Errorf("got a %T, want the socket", server)
			}
			client.Write(c.head)
			checkRead(t, server, string(c.head))
			if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestBadHeads sends what is not a head from where there must be one.
func TestBadHeads(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		want error
	}{
		"nothing":         {"", io.EOF},
		"HTTP":            {"GET / HTTP/1.1\r\n\r\n", proxyproto.ErrNoProxyProtocol},
		"HTTP/2":          {"PRI * HTTP/2.0\r\n\r\n", proxyproto.ErrNoProxyProtocol},
		"TLS":             {"\x16\x03\x01", proxyproto.ErrNoProxyProtocol},
		"v1 cut":          {"PROXY TCP4 198.51", io.ErrUnexpectedEOF},
		"v1 too long":     {"PROXY " + strings.Repeat("x", 200) + "\r\n", proxyproto.ErrVersion1HeaderTooLong},
		"v1 without CR":   {"PROXY UNKNOWN\n", proxyproto.ErrLineMustEndWithCrlf},
		"v1 lower case":   {"proxy UNKNOWN\r\n", proxyproto.ErrNoProxyProtocol},
		"v1 bad address":  {"PROXY TCP4 ::1 ::1 1 2\r\n", proxyproto.ErrInvalidAddress},
		"v1 bad port":     {"PROXY TCP4 1.1.1.1 1.1.1.1 70000 2\r\n", proxyproto.ErrInvalidPortNumber},
		"v2 cut":          {signature2 + "\x21\x11\x00\x0c\x01", io.ErrUnexpectedEOF},
		"v2 signature":    {signature2[:5], io.ErrUnexpectedEOF},
		"v2 too long":     {signature2 + "\x21\x11\xff\xff", proxyproto.ErrInvalidLength},
		"v2 too short":    {signature2 + "\x21\x11\x00\x01x", proxyproto.ErrInvalidLength},
		"v2 bad version":  {signature2 + "\x31\x11\x00\x00", proxyproto.ErrUnsupportedProtocolVersionAndCommand},
		"v2 bad family":   {signature2 + "\x21\x13\x00\x00", proxyproto.ErrUnsupportedAddressFamilyAndProtocol},
		"v2 unspecified":  {signature2 + "\x21\x00\x00\x00", proxyproto.ErrUnsupportedAddressFamilyAndProtocol},
		"v2 of two lines": {"\r\n\r\nGET /", proxyproto.ErrNoProxyProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := accept(t, loopback, time.Minute)
			client.Write([]byte(c.sent))
			client.(*net.TCPConn).CloseWrite()
			for range 2 {
				if n, err := server.Read(make([]byte, 9)); n != 0 || !errors.Is(err, c.want) {
					t.Errorf("Read: got %d, %v, want %v", n, err, c.want)
				}
			}
			if n, err := server.Write([]byte("hello")); n != 0 || !errors.Is(err, c.want) {
				t.Errorf("Write: got %d, %v, want %v", n, err, c.want)
			}
			if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
