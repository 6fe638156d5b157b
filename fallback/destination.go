package fallback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Networks of a destination.
const (
	networkTCP  = "tcp"
	networkUnix = "unix"
)

// defaultPort is the one that gRPC's dns resolver adds.
const defaultPort = "443"

// destination is one server: its name, and where connections to it go. The name
// is what the certificate is verified for and what Host and :authority carry;
// the address says no more than where to connect.
type destination struct {
	authority string // of the channel, as grpc sends it in :authority
	network   string // networkTCP or networkUnix
	addr      string // host:port, not looked up if grpc was given a name; or the path of a socket
	proxied   string // host:port that the proxy is chosen for; "" if none can be
}

// destinationOf returns the destination of an address that is dialled directly:
// a host:port, or a unix socket in one of grpc's forms.
func destinationOf(addr string) destination {
	if path, ok := unixPath(addr); ok {
		return destination{authority: "localhost", network: networkUnix, addr: path}
	}
	name := withPort(addr)
	return destination{authority: authorityOf(name), network: networkTCP, addr: name, proxied: name}
}

// outer returns the authority of the upgrade: the channel's, unless that is the
// name of InnerTLS, which says nothing to hops. Then it is the name of the outer
// TLS, or name.
func (d *Dialer) outer(authority, name string) string {
	switch {
	case d.InnerTLS == nil || d.InnerTLS.ServerName == "" || d.InnerTLS.ServerName != authority:
		return authority
	case d.TLS != nil && d.TLS.ServerName != "":
		return d.TLS.ServerName
	}
	return name
}

// at returns the destination of addr, an address of authority that a resolver
// of the program's own found.
func at(authority, addr string) destination {
	d := destinationOf(addr)
	d.authority = authority
	if d.network != networkTCP {
		return d
	}
	_, port, err := net.SplitHostPort(d.addr)
	if err != nil {
		return d
	}
	d.proxied = plainAuthority(authority)
	if _, _, err := net.SplitHostPort(d.proxied); err != nil {
		d.proxied = net.JoinHostPort(strings.Trim(d.proxied, "[]"), port)
	}
	return d
}

// unixPath returns the path of the socket that addr names: unix:path,
// unix:///path, unix-abstract:name, or a name after @ or a zero byte, which
// linux has for abstract ones.
func unixPath(addr string) (string, bool) {
	switch {
	case strings.HasPrefix(addr, "\x00"):
		return "@" + addr[1:], true
	case strings.HasPrefix(addr, "@"):
		return addr, true
	case strings.HasPrefix(addr, "unix-abstract:"):
		return "@" + strings.TrimPrefix(addr, "unix-abstract:"), true
	case strings.HasPrefix(addr, "unix://"):
		return strings.TrimPrefix(addr, "unix://"), true
	case strings.HasPrefix(addr, "unix:"):
		return strings.TrimPrefix(addr, "unix:"), true
	}
	return "", false
}

// withPort completes addr as gRPC's dns resolver does: with port 443, or with
// the host localhost.
func withPort(addr string) string {
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if host == "" {
			return net.JoinHostPort("localhost", port)
		}
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), defaultPort)
}

// authorityOf returns the authority that grpc makes of name, a host:port.
func authorityOf(name string) string { return strings.ReplaceAll(name, "%", "%25") }

// plainAuthority undoes the escapes of an authority.
func plainAuthority(authority string) string {
	if plain, err := url.PathUnescape(authority); err == nil {
		return plain
	}
	return authority
}

// hostOf returns the host of an authority, without the zone of an IPv6 address,
// which means nothing to the peer (RFC 9110, Section 4.2; RFC 4007, Section 11.2).
func hostOf(authority string) string {
	authority = plainAuthority(authority)
	host, _, err := net.SplitHostPort(authority)
	if err != nil {
		host = strings.Trim(authority, "[]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.WithZone("").String()
	}
	return host
}

// serverName returns the name that the certificate is verified for.
func (d destination) serverName() string { return hostOf(d.authority) }

// host returns the Host of a request with scheme: the authority without the
// scheme's own port (RFC 9110, Section 7.2).
func (d destination) host(scheme string) string {
	host := hostOf(d.authority)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	_, port, err := net.SplitHostPort(plainAuthority(d.authority))
	if err != nil || port == "" {
		return host
	}
	own := 80
	if scheme == "https" || scheme == "wss" {
		own = 443
	}
	n, err := net.DefaultResolver.LookupPort(context.Background(), networkTCP, port) // it may be a name
	switch {
	case err != nil:
		return host + ":" + port
	case n == own:
		return host
	default:
		return host + ":" + strconv.Itoa(n)
	}
}

// String names the destination in errors: by its address if that is a name, and
// by its authority too if that is another.
func (d destination) String() string {
	where := d.addr
	if d.network == networkUnix {
		where = networkUnix + ":" + d.addr
	}
	if d.network == networkUnix && d.authority == "localhost" || hostOf(d.addr) == hostOf(d.authority) {
		return where
	}
	return d.authority + " at " + where
}

// check says what is wrong with the address.
func (d destination) check() error {
	if d.network == networkUnix {
		if d.addr == "" || d.addr == "@" {
			return errors.New("fallback: the address of a unix socket is empty")
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(d.addr); err != nil || port == "" {
		return fmt.Errorf("fallback: the address %q is not of the form host:port", d.addr)
	}
	return nil
}

// endpointOf returns the scheme and the endpoint of a target, as grpc.NewClient
// reads it; known tells which schemes there are.
func endpointOf(target string, known func(scheme string) bool) (scheme, endpoint string) {
	if u, err := url.Parse(target); err == nil && known(u.Scheme) {
		endpoint = strings.TrimPrefix(u.Path, "/")
		if u.Path == "" {
			endpoint = u.Opaque
		}
		if u.Scheme == networkUnix && filepath.IsAbs(u.Path) {
			endpoint = u.Path
		}
		return u.Scheme, endpoint
	}
	return "dns", target
}

// is reports whether d is one of the destinations of a target of grpc.
func (d destination) is(scheme, endpoint string) bool {
	switch scheme {
	case schemeUnix:
		return d.network == networkUnix && d.addr == endpoint
	case schemeUnixAbstract:
		return d.network == networkUnix && d.addr == "@"+endpoint
	}
	return d.network == networkTCP && (d.addr == withPort(endpoint) || plainAuthority(d.authority) == endpoint)
}
