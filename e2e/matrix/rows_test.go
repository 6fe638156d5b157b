package matrix_test

import (
	"net/url"
	"testing"
	"time"

	"culvert/e2e/internal/squid"
	"culvert/fallback"
)

// direct has nothing in the way.
func direct(secure bool) func(*testing.T, *stage) target {
	return func(_ *testing.T, s *stage) target {
		if !secure {
			return target{s.clear, func() *fallback.Dialer { return &fallback.Dialer{Insecure: true} }}
		}
		return target{s.secure, func() *fallback.Dialer { return &fallback.Dialer{TLS: s.origin.Client.Clone()} }}
	}
}

// trust is what to do about a certificate that is not trusted.
const trust = "if this is your proxy's CA, add it to the roots"

// Ways, by short names for the table.
const (
	nobody = fallback.Undecided
	native = fallback.Direct
	tunnel = fallback.Tunnel
)

var rows = []row{
	{name: "nothing", role: "TLS", start: direct(true), native: true, tunnel: true, way: native},
	{name: "nothing", role: "cleartext", start: direct(false), native: true, tunnel: true, way: native},

	{name: "squid", role: "CONNECT", start: connect(""), native: true, tunnel: true, way: native},
	{name: "squid", role: "CONNECT to 443 alone", start: connect("acl right port 443\nacl c method CONNECT\nhttp_access deny c !right\n"),
		errs: []string{"answered 403", "many proxies allow CONNECT to port 443 alone"}},
	{name: "squid", role: "Basic auth, right", start: connectAuth(url.UserPassword("user", "right")), native: true, tunnel: true, way: native},
	{name: "squid", role: "Basic auth, wrong", start: connectAuth(url.UserPassword("user", "wrong")), errs: []string{"407", "Basic"}},
	{name: "squid", role: "Basic auth, none", start: connectAuth(nil), errs: []string{"407", "ProxyAuth"}},
	{name: "squid", role: "opens TLS, WebSocket allowed", start: bump(squid.AllowUpgrade, true), tunnel: true, way: tunnel},
	{name: "squid", role: "opens TLS, by default", start: bump("", true),
		errs: []string{"native gRPC: ", "tunnel: ", "squid", "http_upgrade_request_protocols"}},
	{name: "squid", role: "opens TLS, CA not trusted", start: bump(squid.AllowUpgrade, false), errs: []string{trust, "culvert e2e"}},

	{name: "nginx", role: "h2 in front, HTTP/1.1 behind", start: nginx("http2", upgrading), tunnel: true, way: tunnel},
	{name: "nginx", role: "HTTP/1.1", start: nginx("", upgrading), tunnel: true, way: tunnel},
	{name: "nginx", role: "HTTP/1.1, proxy_pass by default", start: nginx("", "proxy_pass http://{{.Origin}};"),
		errs: []string{"native gRPC: ", "tunnel: ", "proxy_http_version 1.1"}},
	{name: "nginx", role: "grpc_pass", start: nginx("http2", "grpc_pass grpc://{{.Origin}};"), native: true, way: native},
	{name: "haproxy", role: "h2 on both sides", start: haproxy("alpn h2,http/1.1", "proto h2"), native: true, way: native},
	{name: "haproxy", role: "h2 in front, HTTP/1.1 behind", start: haproxy("alpn h2,http/1.1", ""), tunnel: true, way: tunnel},
	{name: "haproxy", role: "TLS without ALPN", start: haproxy("", ""), tunnel: true, way: tunnel},
	{name: "caddy", role: "reverse_proxy", start: caddy, tunnel: true, way: tunnel},

	{name: "login page", role: "200 to everything", start: peer(loginPage), way: native, errs: []string{"native gRPC: ", "tunnel: ", "gate/7", "Please log in"}},
	{name: "CONNECT proxy", role: "login page", start: connectProxy(200), errs: []string{"native gRPC: ", "tunnel: ", "the answer begins with", "<html"}},
	{name: "CONNECT proxy", role: "403", start: connectProxy(403), errs: []string{"CONNECT", "answered 403"}},
	{name: "SOCKS5 proxy", role: "relays", start: socks, native: true, tunnel: true, way: native},
	{name: "port", role: "accepts and never speaks", start: middlebox(swallow, swallow), errs: []string{"native gRPC: ", "no answer within", "tunnel: no answer"}},
	{name: "port", role: "resets", start: middlebox(reset, reset), errs: []string{"native gRPC: ", "tunnel: ", "reset"}},
	{name: "middlebox", role: "resets a ClientHello with h2", start: middlebox(reset, relay), tunnel: true, way: tunnel},
	{name: "middlebox", role: "swallows a ClientHello with h2", start: middlebox(swallow, relay), tunnel: true, way: tunnel, within: 2 * time.Second},
	{name: "h2 hop", role: "swallows h2 after the handshake", start: peer(silentH2), tunnel: true, way: tunnel, within: 2 * time.Second},
	{name: "h2 hop", role: "loses trailers", start: peer(loseTrailers), tunnel: true, way: tunnel},
	{name: "h2 hop", role: "buffers requests", start: peer(bufferRequests), tunnel: true, way: tunnel},
	{name: "h2 hop", role: "GOAWAY HTTP_1_1_REQUIRED", start: peer(goAway), tunnel: true, way: tunnel},
	{name: "TLS terminator", role: "no ALPN, relays bytes", start: terminator(), tunnel: true, way: tunnel},
	{name: "server", role: "prefers http/1.1 though it has h2", start: terminator("http/1.1", "h2"), native: true, tunnel: true, way: tunnel},
}
