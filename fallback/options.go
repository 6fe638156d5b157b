package fallback

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"

	"culvert/internal/ready"
)

// modeVariable overrides Dialer.Mode.
const modeVariable = "CULVERT_MODE"

// DialOptions returns the options for grpc.NewClient: the dialer, the
// transport credentials, a resolver in the place of dns that leaves names to
// the proxy or the tunnel where there is one, and buffer sizes. They go ahead of the caller's own options.
func (d *Dialer) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithContextDialer(d.DialContext),
		grpc.WithTransportCredentials(transportCredentials{d}),
		grpc.WithResolvers(nameResolver{d}),
		grpc.WithWriteBufferSize(ready.BufferSize),
		grpc.WithReadBufferSize(ready.BufferSize),
	}
}

// mode returns the Mode after the environment had its say.
func (d *Dialer) mode() (Mode, error) {
	switch v := os.Getenv(modeVariable); v {
	case "":
		return d.Mode, nil
	case "auto":
		return Auto, nil
	case "native":
		return Native, nil
	case "websocket":
		return WebSocket, nil
	default:
		return d.Mode, fmt.Errorf("fallback: %s is %q, want auto, native or websocket", modeVariable, v)
	}
}

// nameResolver stands in for dns. For a direct native way it is dns, and tells
// the dialer which name an address belongs to; through a proxy or the tunnel it
// is the name itself.
type nameResolver struct{ dialer *Dialer }

// Scheme implements resolver.Builder.
func (nameResolver) Scheme() string { return "dns" }

// Build implements resolver.Builder.
func (r nameResolver) Build(target resolver.Target, cc resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	name := withPort(target.Endpoint())
	cc = &namingConn{ClientConn: cc, name: name}
	if r.dialer.resolves(name) {
		return resolver.Get("dns").Build(target, cc, opts)
	}
	return fixed{}, cc.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: name}}})
}

// resolves reports whether this machine is to look name up.
func (d *Dialer) resolves(name string) bool {
	if mode, err := d.mode(); err != nil || mode == WebSocket {
		return false
	}
	choose := d.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	u := &url.URL{Scheme: d.scheme("http"), Host: name}
	proxy, err := choose(&http.Request{Method: http.MethodGet, URL: u, Host: name, Header: http.Header{}})
	return err == nil && proxy == nil
}

// fixed is a resolver that has said all it knows.
type fixed struct{}

// ResolveNow implements resolver.Resolver.
func (fixed) ResolveNow(resolver.ResolveNowOptions) {}

// Close implements resolver.Resolver.
func (fixed) Close() {}

// namingConn marks every address with the name that it was found under.
type namingConn struct {
	resolver.ClientConn

	name string
}

type nameKey struct{}

// UpdateState implements resolver.ClientConn.
func (c *namingConn) UpdateState(s resolver.State) error {
	mark := func(addrs []resolver.Address) []resolver.Address {
		marked := make([]resolver.Address, len(addrs))
		for i, a := range addrs {
			a.Attributes = a.Attributes.WithValue(nameKey{}, c.name)
			marked[i] = a
		}
		return marked
	}
	s.Addresses = mark(s.Addresses)
	if s.Endpoints == nil { // grpc makes them of the addresses, but only if there are none
		return c.ClientConn.UpdateState(s)
	}
	endpoints := make([]resolver.Endpoint, len(s.Endpoints))
	for i, e := range s.Endpoints {
		e.Addresses = mark(e.Addresses)
		endpoints[i] = e
	}
	s.Endpoints = endpoints
	return c.ClientConn.UpdateState(s)
}

// targetName returns the host:port that addr was found under, addr itself if
// it was not looked up.
func targetName(ctx context.Context, addr string) string {
	if name, ok := credentials.ClientHandshakeInfoFromContext(ctx).Attributes.Value(nameKey{}).(string); ok {
		return name
	}
	return withPort(addr)
}

// withPort adds the port that gRPC's dns resolver adds.
func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(addr, "443")
}
