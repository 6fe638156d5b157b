package fallback

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/resolver"
)

// nameResolver stands in for dns. For a direct native way it is dns, and tells
// the dialer which name an address belongs to; through a proxy or the tunnel it
// is the name itself. When the way changes, it gives other addresses, and grpc
// makes new RPCs on new connections while those that run finish on the old.
type nameResolver struct{ dialer *Dialer }

// Scheme implements resolver.Builder.
func (nameResolver) Scheme() string { return "dns" }

// Build implements resolver.Builder.
func (b nameResolver) Build(target resolver.Target, cc resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	name := withPort(target.Endpoint())
	t, err := b.dialer.target(name)
	if err != nil {
		return nil, err
	}
	r := &resolving{
		ClientConn: cc, target: t, origin: &origin{name: name},
		dns: func(cc resolver.ClientConn) (resolver.Resolver, error) {
			return resolver.Get("dns").Build(target, cc, opts)
		},
	}
	proxy, err := b.dialer.proxyTo(name)
	r.fixed = err != nil || proxy != nil
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

// remembersTunnel reports whether the next dial begins with the tunnel.
func (t *target) remembersTunnel() bool { return t.next().tunnel }

// origin is where an address comes from. One pointer belongs to one resolving,
// so that grpc sees equal attributes as long as nothing moves.
type origin struct {
	name  string
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
	fixed  bool // the name is the address, whatever the way
	dns    func(resolver.ClientConn) (resolver.Resolver, error)

	mu         sync.Mutex // held while grpc is told
	way        Way
	generation int
	latest     *resolver.State // of dns

	inner atomic.Pointer[resolver.Resolver]
}

// start tells the first addresses, or sets out to find them.
func (r *resolving) start(way Way) error {
	r.mu.Lock()
	r.way = way
	if r.fixed || way == Tunnel {
		defer r.mu.Unlock()
		_ = r.tell() // what grpc makes of it, it says to who makes RPCs
		return nil
	}
	r.mu.Unlock()
	return r.lookUp()
}

// lookUp starts dns.
func (r *resolving) lookUp() error {
	inner, err := r.dns(r)
	if err == nil {
		r.inner.Store(&inner)
	}
	return err
}

// move has new RPCs use another connection, if fresh is set, and gives the
// addresses for way from the next update on.
func (r *resolving) move(way Way, fresh bool) {
	r.mu.Lock()
	r.way = way
	if !fresh {
		r.mu.Unlock()
		return
	}
	r.generation++
	if !r.fixed && way == Direct && r.latest == nil {
		r.mu.Unlock()
		if r.inner.Load() == nil {
			_ = r.lookUp()
		}
		return
	}
	_ = r.tell()
	r.mu.Unlock()
	r.ResolveNow(resolver.ResolveNowOptions{})
}

// UpdateState implements resolver.ClientConn, for dns.
func (r *resolving) UpdateState(s resolver.State) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest = &s
	if r.way == Tunnel && r.generation > 0 {
		return nil
	}
	return r.tell()
}

// ReportError implements resolver.ClientConn, for dns.
func (r *resolving) ReportError(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.way != Tunnel {
		r.ClientConn.ReportError(err)
	}
}

// tell gives grpc the addresses; r.mu is held.
func (r *resolving) tell() error {
	var s resolver.State
	if r.latest != nil {
		s = *r.latest
	}
	if r.fixed || r.way == Tunnel {
		s.Addresses, s.Endpoints = []resolver.Address{{Addr: r.origin.name}}, nil
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

// ResolveNow implements resolver.Resolver.
func (r *resolving) ResolveNow(o resolver.ResolveNowOptions) {
	if inner := r.inner.Load(); inner != nil {
		(*inner).ResolveNow(o)
	}
}

// Close implements resolver.Resolver.
func (r *resolving) Close() {
	r.target.mu.Lock()
	delete(r.target.resolvers, r)
	r.target.mu.Unlock()
	if inner := r.inner.Load(); inner != nil {
		(*inner).Close()
	}
}

// targetName returns the host:port that addr was found under, addr itself if
// it was not looked up, and whether grpc has more addresses of it.
func targetName(ctx context.Context, addr string) (name string, others bool) {
	o, ok := credentials.ClientHandshakeInfoFromContext(ctx).Attributes.Value(originKey{}).(*origin)
	if !ok {
		return withPort(addr), false
	}
	return o.name, o.count.Load() > 1
}
