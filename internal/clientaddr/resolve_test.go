package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// proxies are the trusted ones of the tests.
var proxies = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("fd00::/8"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("::ffff:172.16.0.0/108"),
}

const (
	proxy    = "10.0.0.1:1234"
	stranger = "203.0.113.9:1234"
)

// TestXForwardedFor resolves lists of addresses.
func TestXForwardedFor(t *testing.T) {
	for _, c := range []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"no header", proxy, nil, proxy},
		{"one", proxy, []string{"198.51.100.1"}, "198.51.100.1:0"},
		{"with port", proxy, []string{"198.51.100.1:80"}, "198.51.100.1:80"},
		{"through two", proxy, []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1:0"},
		{"blanks", proxy, []string{" \t198.51.100.1 ,\t10.0.0.2 "}, "198.51.100.1:0"},
		{"lines", proxy, []string{"1.1.1.1, 198.51.100.1", "10.0.0.3", "10.0.0.2,10.0.0.4"}, "198.51.100.1:0"},
		{"all trusted", proxy, []string{"10.0.0.4, 10.0.0.3:9", "10.0.0.2"}, "10.0.0.4:0"},

		{"untrusted peer", stranger, []string{"198.51.100.1"}, stranger},
		{"forged to the left", proxy, []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1:0"},
		{"forged line", proxy, []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1:0"},
		{"forged proxy", proxy, []string{"1.1.1.1, 10.0.0.7, 198.51.100.1, 10.0.0.2"}, "198.51.100.1:0"},
		{"garbage to the left", proxy, []string{"\x00\",;[, 198.51.100.1"}, "198.51.100.1:0"},

		{"IPv6", "[fd00::1]:7", []string{"2001:db8::1, fd00::2"}, "[2001:db8::1]:0"},
		{"IPv6 bracketed", "[fd00::1]:7", []string{"[2001:db8::1],[fd00::2]:80"}, "[2001:db8::1]:0"},
		{"IPv6 with port", proxy, []string{"[2001:db8::1]:80"}, "[2001:db8::1]:80"},
		{"mapped peer", "[::ffff:10.0.0.1]:7", []string{"198.51.100.1"}, "198.51.100.1:0"},
		{"mapped untrusted peer", "[::ffff:203.0.113.9]:7", []string{"198.51.100.1"}, "203.0.113.9:7"},
		{"mapped entries", proxy, []string{"1.1.1.1, ::ffff:198.51.100.1, [::ffff:10.0.0.2]:5"}, "198.51.100.1:0"},
		{"mapped prefix", "172.16.0.1:7", []string{"198.51.100.1, ::ffff:172.31.0.1"}, "198.51.100.1:0"},
		{"outside of the mapped prefix", "172.32.0.1:7", []string{"198.51.100.1"}, "172.32.0.1:7"},
		{"peer with zone", "[fe80::1%eth0]:7", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"entry with zone", proxy, []string{"2001:db8::1, fe80::1%x"}, "[2001:db8::1]:0"},
		{"client with zone", proxy, []string{"2001:db8::1%\r\nx"}, "[2001:db8::1]:0"},

		{"unknown", proxy, []string{"198.51.100.1, unknown, 10.0.0.2:5"}, "10.0.0.2:5"},
		{"unknown client", proxy, []string{"198.51.100.1, unknown"}, proxy},
		{"empty entry", proxy, []string{"198.51.100.1, , 10.0.0.2"}, "10.0.0.2:0"},
		{"empty at the end", proxy, []string{"198.51.100.1,"}, proxy},
		{"empty line", proxy, []string{"198.51.100.1", "", "10.0.0.2"}, "10.0.0.2:0"},
		{"no number", proxy, []string{"198.51.100.1, 10.0.0.300"}, proxy},
		{"leading zero", proxy, []string{"198.51.100.1, 010.0.0.1"}, proxy},
		{"port too high", proxy, []string{"198.51.100.1:65536"}, proxy},
		{"port empty", proxy, []string{"198.51.100.1:"}, proxy},
		{"port signed", proxy, []string{"198.51.100.1:+80"}, proxy},
		{"bracketed IPv4", proxy, []string{"[198.51.100.1]:80"}, proxy},
		{"behind the bracket", proxy, []string{"[2001:db8::1]80"}, proxy},
		{"bracket not closed", proxy, []string{"[2001:db8::1"}, proxy},
		{"bracket not opened", proxy, []string{"2001:db8::1]"}, proxy},
		{"quoted", proxy, []string{`"198.51.100.1"`}, proxy},
		{"two in one", proxy, []string{"198.51.100.1 10.0.0.2"}, proxy},
		{"long", proxy, []string{"fe80::1%" + strings.Repeat("x", 1000)}, proxy},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{XForwardedFor: c.lines, Forwarded: {"for=9.9.9.9"}}
			checkResolve(t, c.peer, h, "", c.want)
		})
	}
}

// TestForwarded resolves what RFC 7239 describes.
func TestForwarded(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"no header", nil, proxy},
		{"one", []string{"for=198.51.100.1"}, "198.51.100.1:0"},
		{"RFC 7239, Section 4", []string{`for="_gazonk"`}, proxy},
		{"Section 4, port", []string{`For="[2001:db8:cafe::17]:4711"`}, "[2001:db8:cafe::17]:4711"},
		{"Section 4, parameters", []string{"for=192.0.2.60;proto=http;by=203.0.113.43"}, "192.0.2.60:0"},
		{"Section 4, list", []string{"for=192.0.2.43, for=198.51.100.17"}, "198.51.100.17:0"},
		{"Section 7.1", []string{`for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown`}, proxy},
		{"Section 7.4", []string{`for=192.0.2.43,for="[fd00::17]"`, "for=10.0.0.2"}, "192.0.2.43:0"},
		{"parameters everywhere", []string{`proto=http;FOR="198.51.100.1:80" ; by=_x , by="a,b;c";for=10.0.0.2;host=h:1`}, "198.51.100.1:80"},
		{"semicolons", []string{";for=198.51.100.1;;proto=http;"}, "198.51.100.1:0"},
		{"not quoted", []string{"for=[2001:db8::1]:80"}, "[2001:db8::1]:80"},
		{"equals signs", []string{"for=198.51.100.1;secret=YQ=="}, "198.51.100.1:0"},
		{"all trusted", []string{`for=10.0.0.4, for="[fd00::2]:1"`}, "10.0.0.4:0"},

		{"forged to the left", []string{"for=1.1.1.1, for=198.51.100.1"}, "198.51.100.1:0"},
		{"open quote", []string{`for=", for=198.51.100.1`}, "198.51.100.1:0"},
		{"open quote and quotes", []string{`for=", for="198.51.100.1";by="_x"`}, "198.51.100.1:0"},
		{"open quote, escaped", []string{`for="\, for="198.51.100.1"`}, "198.51.100.1:0"},
		{"open quote, line", []string{`for=1.1.1.1;host="`, `for=198.51.100.1`}, "198.51.100.1:0"},
		{"in a quoted string", []string{`for=198.51.100.1;host="x, for=1.1.1.1"`}, "198.51.100.1:0"},
		{"in escaped quotes", []string{`for=198.51.100.1;host="\", for=\"1.1.1.1\""`}, "198.51.100.1:0"},
		{"escaped backslash", []string{`for=198.51.100.1;host="x\\"`}, "198.51.100.1:0"},
		{"twice", []string{"for=1.1.1.1;for=198.51.100.1"}, proxy},
		{"twice, the other way", []string{"for=198.51.100.1;by=_x;For=10.0.0.2"}, proxy},

		{"obfuscated", []string{"for=198.51.100.1, for=_SEVKISEK, for=10.0.0.2"}, "10.0.0.2:0"},
		{"obfuscated port", []string{`for="198.51.100.1:_x"`}, "198.51.100.1:0"},
		{"no for", []string{"for=198.51.100.1, proto=http"}, proxy},
		{"empty for", []string{"for=198.51.100.1, for="}, proxy},
		{"empty quotes", []string{`for=198.51.100.1, for=""`}, proxy},
		{"empty element", []string{"for=198.51.100.1, , for=10.0.0.2"}, "10.0.0.2:0"},
		{"empty line", []string{"for=198.51.100.1", ""}, proxy},
		{"no name", []string{"for=198.51.100.1;=x"}, proxy},
		{"no value", []string{"for=198.51.100.1;x"}, proxy},
		{"behind the quote", []string{`for="198.51.100.1"x`}, proxy},
		{"before the quote", []string{`for=x"198.51.100.1"`}, proxy},
		{"no equals sign", []string{`for"198.51.100.1"`}, proxy},
		{"quote alone", []string{`"`}, proxy},
		{"quotes alone", []string{`for=198.51.100.1,""`}, proxy},
		{"escaped address", []string{`for="\198.51.100.1"`}, proxy},
		{"blank inside", []string{"for=198.51.100.1 x=y"}, proxy},
		{"another list", []string{"198.51.100.1"}, proxy},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{Forwarded: c.lines, XForwardedFor: {"9.9.9.9"}}
			checkResolve(t, proxy, h, "forwarded", c.want)
		})
	}
}

func checkResolve(t *testing.T, peer string, h http.Header, name, want string) {
	t.Helper()
	if got := Resolve(netip.MustParseAddrPort(peer), h, name, proxies).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestOtherHeader reads one address from a header of another name.
func TestOtherHeader(t *testing.T) {
	h := http.Header{"X-Real-Ip": {"198.51.100.1"}, XForwardedFor: {"9.9.9.9"}}
	checkResolve(t, proxy, h, "x-real-IP", "198.51.100.1:0")
	checkResolve(t, proxy, h, "X-No-Such", proxy)
}

// TestNobodyTrusted has no prefixes, or none that is valid, and no address.
func TestNobodyTrusted(t *testing.T) {
	h := http.Header{XForwardedFor: {"198.51.100.1"}}
	peer := netip.MustParseAddrPort(proxy)
	for _, trusted := range [][]netip.Prefix{nil, {{}}, {netip.MustParsePrefix("::/0")}, {netip.MustParsePrefix("::ffff:0:0/95")}} {
		if got := Resolve(peer, h, "", trusted); got != peer {
			t.Errorf("%v: got %s, want %s", trusted, got, peer)
		}
	}
	if got := Resolve(netip.AddrPort{}, h, "", proxies); got.IsValid() {
		t.Errorf("got %s for no address", got)
	}
}

// TestHops has more trusted entries than are read.
func TestHops(t *testing.T) {
	for name, entry := range map[string]string{XForwardedFor: "10.0.0.2", Forwarded: "for=10.0.0.2"} {
		for hops, want := range map[int]string{maxHops - 1: "198.51.100.1:0", maxHops: "10.0.0.2:0"} {
			client := strings.Replace(entry, "10.0.0.2", "198.51.100.1", 1)
			checkResolve(t, proxy, http.Header{name: {client + strings.Repeat(","+entry, hops)}}, name, want)
		}
	}
}

// TestResolveAllocates reads headers without allocating.
func TestResolveAllocates(t *testing.T) {
	peer := netip.MustParseAddrPort(proxy)
	h := http.Header{
		XForwardedFor: {"198.51.100.1, [fd00::2]:80" + strings.Repeat(", 10.0.0.2:80", 20)},
		Forwarded:     {`for="[2001:db8::1]:80"` + strings.Repeat(`, for=10.0.0.2;host="a,b"`, 20)},
	}
	for _, name := range []string{XForwardedFor, Forwarded} {
		if n := testing.AllocsPerRun(10, func() { Resolve(peer, h, name, proxies) }); n > 0 {
			t.Errorf("%s: got %v allocations, want none", name, n)
		}
	}
}
