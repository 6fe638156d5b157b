package wsconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// parseURL parses a ws or wss URL. Its errors quote no user info.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("wsconn: %w", parseError(rawURL, err))
	}
	if !slices.Contains([]string{"ws", "wss"}, u.Scheme) || u.Host == "" {
		return nil, fmt.Errorf("wsconn: %s is not a URL of the form ws://host/path or wss://host/path", quoted(rawURL))
	}
	if strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("wsconn: the query of %s is not escaped", quoted(rawURL))
	}
	return u, nil
}

// splitHost splits the host of u, which then has no brackets, and the port, as
// they are written, but in ASCII: the port may be a name, and either may be empty.
func splitHost(u *url.URL) (host, port string) {
	at := u.Host
	if ascii, err := httpguts.PunycodeHostPort(at); err == nil {
		at = ascii
	}
	if host, port, err := net.SplitHostPort(at); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(at, "["), "]"), ""
}

// hostPort returns the address to dial for u.
func hostPort(u *url.URL) string {
	host, port := splitHost(u)
	return net.JoinHostPort(host, cmp.Or(port, defaultPort(u.Scheme)))
}

func defaultPort(scheme string) string {
	switch scheme {
	case "wss", "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	default:
		return "80"
	}
}

// serverName returns the name that the server of u is known by: without a port,
// and without an IPv6 zone, which means something on this machine alone (RFC
// 6874, Section 4). A port alone stands for localhost, as in net.Dial.
func serverName(u *url.URL) string {
	host, _ := splitHost(u)
	host, _, _ = strings.Cut(host, "%")
	return cmp.Or(host, "localhost")
}

// hostHeader returns the Host for u: the default port of its scheme is left out
// (RFC 6455, Section 4.1).
func hostHeader(u *url.URL) string {
	host, port := serverName(u), u.Port()
	switch {
	case port != "" && port != defaultPort(u.Scheme):
		return net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// elsewhere returns u as another machine understands it: with the number of a
// port that is named, and without the zone of an IPv6 address.
func elsewhere(ctx context.Context, u *url.URL) (*url.URL, error) {
	_, port := splitHost(u)
	if _, err := strconv.ParseUint(port, 10, 16); err != nil && port != "" {
		n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
		if err != nil {
			return nil, err
		}
		port = strconv.Itoa(n)
	}
	r, host := *u, serverName(u)
	switch {
	case port != "":
		r.Host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		r.Host = "[" + host + "]"
	default:
		r.Host = host
	}
	return &r, nil
}

// errUnixAddr says that a Dialer for a unix socket does not know which.
var errUnixAddr = errors.New("wsconn: Dialer.Network is unix and Dialer.Addr is empty")
