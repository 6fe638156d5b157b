package wsconn

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// sameOrigin reports whether the Origin of r is that of the server itself, as
// Upgrader.CheckOrigin has it.
func sameOrigin(r *http.Request) bool {
	list := r.Header.Values("Origin")
	if len(list) != 1 {
		return false
	}
	o, err := url.Parse(list[0])
	if err != nil {
		return false
	}
	// No user info, query or fragment; some clients that are no browsers add a slash.
	if bare := (url.URL{Scheme: o.Scheme, Host: o.Host, Path: o.Path}); *o != bare || o.Host == "" || o.Path != "" && o.Path != "/" {
		return false
	}
	switch o.Scheme {
	case "https":
	case "http":
		if r.TLS != nil {
			return false
		}
	default:
		return false
	}
	// What r.Host leaves out is the port of the scheme that the client used,
	// which only the Origin tells if a hop in front ends TLS.
	host, err := url.Parse(o.Scheme + "://" + r.Host)
	if err != nil || host.User != nil || host.Host != r.Host {
		return false
	}
	return sameHost(o.Hostname(), host.Hostname()) && port(o) == port(host)
}

func port(u *url.URL) string { return cmp.Or(u.Port(), defaultPort(u.Scheme)) }

// sameHost compares names without regard to case, and IP addresses without
// regard to how they are written. Names of an Origin are ASCII (RFC 6454, Section
// 6.2): none is folded to it.
func sameHost(a, b string) bool {
	if isASCII(a) && isASCII(b) && strings.EqualFold(a, b) {
		return a != ""
	}
	x, err := netip.ParseAddr(a)
	if err != nil {
		return false
	}
	y, err := netip.ParseAddr(b)
	return err == nil && x == y
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
