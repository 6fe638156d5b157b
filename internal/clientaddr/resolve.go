// Package clientaddr finds the address of a client behind reverse proxies: from
// a header that HTTP proxies add to, or from the head that others send first on
// every connection (PROXY protocol).
//
// Both can be forged by whoever is not a proxy, so each is believed only as far
// as it was written by an address that is trusted.
package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"
)

// Names of the headers that Resolve can read.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// maxHops is how many entries of a header are looked at.
const maxHops = 64

// Resolve returns the address of the client of a request that came from peer
// with the header fields h, as far as trusted proxies tell: peer itself if it is
// not trusted. Otherwise the field called name is read from its end, which the
// nearest proxy wrote, towards its beginning, which the client may have written.
// The first address that is not trusted is the client. If there is none, or an
// entry that gives no address comes first (one that is malformed, empty,
// "unknown" or obfuscated), it is the last address before that. At most 64
// entries are read.
//
// Only the field called name is read, since a proxy that adds to one passes on
// what a client forged in the other. "" means X-Forwarded-For. Forwarded is read
// as RFC 7239 says, every other as a list of addresses with or without a port,
// which X-Real-IP and the like are too.
//
// The result is neither an IPv4-mapped IPv6 address nor, if it is from h, one
// with a zone. Its port is 0 where h gives none. A prefix of IPv6 holds no IPv4
// address, unless it is one of mapped addresses: ::/0 is not everything.
func Resolve(peer netip.AddrPort, h http.Header, name string, trusted []netip.Prefix) netip.AddrPort {
	client := netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	if name == "" {
		name = XForwardedFor
	}
	cut := cutAddress
	if strings.EqualFold(name, Forwarded) {
		cut = cutElement
	}
	lines := h.Values(name)
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; hops++ {
			if hops == maxHops || !contains(trusted, client.Addr()) {
				return client
			}
			var node string
			node, rest, more = cut(rest)
			hop, ok := parseNode(node)
			if !ok {
				return client
			}
			client = hop
		}
	}
	return client
}

// contains reports whether one of the prefixes holds a, whose zone does not
// matter.
func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	for _, p := range prefixes {
		if p.Contains(a) || isMapped(p) && a.Is4() && p.Contains(netip.AddrFrom16(a.As16())) {
			return true
		}
	}
	return false
}

// isMapped reports whether p is a prefix of IPv4 that is written as IPv6.
func isMapped(p netip.Prefix) bool { return p.Addr().Is4In6() && p.Bits() >= 96 }
