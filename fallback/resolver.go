package fallback

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"
)

// wrapper is a resolver.Builder that wraps grpc's own of a scheme, and tells the
// dialer which destination an address belongs to. A name that a proxy or a
// tunnel resolves is its own address. When the way changes, it gives other
// addresses, and grpc makes new RPCs on new connections while those that run
// finish on the old.
type wrapper struct {
	dialer *Dialer
	scheme string
}

// localWrapper is the wrapper of a scheme of sockets, whose authority grpc makes
// localhost.
type localWrapper struct{ wrapper }

// OverrideAuthority implements resolver.AuthorityOverrider.
func (localWrapper) OverrideAuthority(resolver.Target) string { return "localhost" }

// Schemes of grpc's own resolvers.
const (
	schemeDNS          = "dns"
	schemePassthrough  = "passthrough"
	schemeUnix         = "unix"
	schemeUnixAbstract = "unix-abstract"
)

// resolvers returns the wrappers.
func (d *Dialer) resolvers() []resolver.Builder {
	return []resolver.Builder{
		wrapper{d, schemeDNS}, wrapper{d, schemePassthrough},
		localWrapper{wrapper{d, schemeUnix}}, localWrapper{wrapper{d, schemeUnixAbstract}},
	}
}

// Scheme implements resolver.Builder.
func (b wrapper) Scheme() string { return b.scheme }

// Build implements resolver.Builder.
func (b wrapper) Build(target resolver.Target, cc resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	if b.scheme == schemeDNS && target.URL.Host != "" {
		// The system does not look names up there: each address is a
		// destination, as with a resolver of the program's own.
		return resolver.Get(b.scheme).Build(target, cc, opts)
	}
	dest := b.destination(target, opts.Authority)
	if dest.check() != nil { // grpc's own resolver says what is wrong
		return resolver.Get(b.scheme).Build(target, cc, opts)
	}
	t, err := b.dialer.target(dest)
	if err != nil {
		return nil, err
	}
	r := &resolving{
		ClientConn: cc, target: t, origin: &origin{dest: dest}, named: b.scheme == schemeDNS,
		base: func(cc resolver.ClientConn) (resolver.Resolver, error) {
			return resolver.Get(b.scheme).Build(target, cc, opts)
		},
	}
	mode, err := b.dialer.mode()
	way := Direct
	if err != nil || mode == WebSocket || mode == Auto && t.remembersTunnel() {
		way = Tunnel
	}
	t.mu.Lock()
	t.resolvers[r] = struct{}{}
	t.mu.Unlock()
	if err := r.start(way); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// destination returns what a target of grpc is.
func (b wrapper) destination(target resolver.Target, authority string) destination {
	switch b.scheme {
	case schemeUnix, schemeUnixAbstract:
		path := target.URL.Path
		if path == "" {
			path = target.URL.Opaque
		}
		if b.scheme == schemeUnixAbstract {
			path = "@" + path
		}
		return destination{authority: authority, network: networkUnix, addr: path}
	default:
		dest := destinationOf(target.Endpoint())
		if authority != "" {
			dest.authority = b.dialer.outer(authority, dest.authority)
		}
		return dest
	}
}

// remembersTunnel reports whether the next dial begins with the tunnel.
func (t *target) remembersTunnel() bool { return t.next().tunnel }

// origin is where an address comes from. One pointer belongs to one resolving,
// so that grpc sees equal attributes as long as nothing moves.
type origin struct {
	dest  destination
	count atomic.Int64 // of the addresses that there are
}

type (
	originKey     struct{}
	generationKey struct{}
)

// resolving is the resolver of one ClientConn.
type resolving struct {
	resolver.ClientConn

	target *target
	origin *origin
	named  bool // the address of a tunnel, and for a proxy, is the name itself
	base   func(resolver.ClientConn) (resolver.Resolver, error)

	mu         sync.Mutex // held while grpc is told
	way        Way
	generation int
	latest     *resolver.State // of base
	proxied    bool            // grpc was told the name, for a proxy
	closed     bool
	building   bool // base

	inner atomic.Pointer[resolver.Resolver]
}

// byName reports whether the name is the address now. The proxy is chosen anew.
func (r *resolving) byName() bool {
	if !r.named {
		return false
	}
	proxy, err := r.target.dialer.proxyTo(r.origin.dest)
	return err != nil || proxy != nil
}

// start tells the first addresses, or sets out to find them.
func (r *resolving) start(way Way) error {
	r.mu.Lock()
	r.way, r.proxied = way, r.byName()
	if r.named && (r.proxied || way == Tunnel) {
		defer r.mu.Unlock()
		_ = r.tell() // what grpc makes of it, it says to who makes RPCs
		return nil
	}
	r.mu.Unlock()
	return r.lookUp()
}

// lookUp starts base, unless it runs already.
func (r *resolving) lookUp() error {
	r.mu.Lock()
	if r.closed || r.building || r.inner.Load() != nil {
		r.mu.Unlock()
		return nil
	}
	r.building = true
	r.mu.Unlock()
	inner, err := r.base(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.building = false
	switch {
	case err != nil:
		return err
	case r.closed:
		r.target.dialer.spawn(inner.Close) // not here: it may wait for an update, which waits for r.mu
	default:
		r.inner.Store(&inner)
	}
	return nil
}

// move has new RPCs use another connection, if fresh is set, and gives the
// addresses for way from the next update on.
func (r *resolving) move(way Way, fresh bool) {
	r.mu.Lock()
	r.way = way
	if !fresh || r.closed {
		r.mu.Unlock()
		return
	}
	r.generation++
	r.proxied = r.byName()
	if !r.proxied && (way == Direct || !r.named) && r.latest == nil {
		r.mu.Unlock()
		_ = r.lookUp()
		return
	}
	_ = r.tell()
	r.mu.Unlock()
	r.ResolveNow(resolver.ResolveNowOptions{})
}

// UpdateState implements resolver.ClientConn, for base.
func (r *resolving) UpdateState(s resolver.State) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest = &s
	r.proxied = r.byName()
	if r.named && r.way == Tunnel && r.generation > 0 {
		return nil
	}
	return r.tell()
}

// ReportError implements resolver.ClientConn, for base. A name that cannot be
// looked up here may be known to a proxy that is to be used now.
func (r *resolving) ReportError(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proxied = r.byName(); r.proxied {
		_ = r.tell()
		return
	}
	if r.way != Tunnel || !r.named {
		r.ClientConn.ReportError(err)
	}
}

// tell gives grpc the addresses; r.mu is held.
func (r *resolving) tell() error {
	var s resolver.State
	if r.latest != nil {
		s = *r.latest
	}
	if r.named && (r.proxied || r.way == Tunnel) {
		s.Addresses, s.Endpoints = []resolver.Address{{Addr: r.origin.dest.addr}}, nil
	}
	r.origin.count.Store(int64(len(s.Addresses)))
	s.Addresses = r.mark(s.Addresses)
	if s.Endpoints != nil { // grpc makes them of the addresses, but only if there are none
		endpoints := make([]resolver.Endpoint, len(s.Endpoints))
		for i, e := range s.Endpoints {
			e.Addresses = r.mark(e.Addresses)
			endpoints[i] = e
		}
		s.Endpoints = endpoints
	}
	return r.ClientConn.UpdateState(s)
}

// mark says of each address where it comes from.
func (r *resolving) mark(addrs []resolver.Address) []resolver.Address {
	marked := make([]resolver.Address, len(addrs))
	for i, a := range addrs {
		a.Attributes = a.Attributes.WithValue(originKey{}, r.origin).WithValue(generationKey{}, r.generation)
		marked[i] = a
	}
	return marked
}

// ResolveNow implements resolver.Resolver. It is called when a connection was
// lost, which may be since the network is another one now.
func (r *resolving) ResolveNow(o resolver.ResolveNowOptions) {
	r.mu.Lock()
	proxied := r.byName()
	changed := proxied != r.proxied && !r.closed
	if changed {
		r.proxied = proxied
	}
	direct := r.named && r.way != Tunnel
	r.mu.Unlock()
	if changed && direct {
		r.target.dialer.spawn(func() { r.reroute(proxied) }) // not here: grpc may hold what an update waits for
	}
	if inner := r.inner.Load(); inner != nil {
		(*inner).ResolveNow(o)
	}
}

// reroute gives the addresses for a proxy that is to be used now, or is not any
// more.
func (r *resolving) reroute(proxied bool) {
	if !proxied {
		_ = r.lookUp()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && (proxied || r.latest != nil) {
		_ = r.tell()
	}
}

// Close implements resolver.Resolver.
func (r *resolving) Close() {
	r.target.mu.Lock()
	delete(r.target.resolvers, r)
	r.target.mu.Unlock()
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if first {
		r.target.leave()
	}
	if inner := r.inner.Load(); inner != nil && first {
		(*inner).Close()
	}
}

// originOf returns where the address that grpc dials comes from, nil if from
// another resolver.
func originOf(ctx context.Context) *origin {
	o, _ := credentials.ClientHandshakeInfoFromContext(ctx).Attributes.Value(originKey{}).(*origin)
	return o
}
