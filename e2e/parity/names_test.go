package parity_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// names are what the DNS server of the tests knows.
var names = struct {
	sync.Mutex
	m map[string][]string
}{m: map[string][]string{}}

// know has the name lead to addrs from now on.
func know(name string, addrs ...string) {
	names.Lock()
	defer names.Unlock()
	names.m[name] = addrs
}

// serveNames makes net.DefaultResolver ask a DNS server of the tests' own.
func serveNames() (stop func()) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if b := lookUp(buf[:n]); b != nil {
				_, _ = pc.WriteTo(b, from)
			}
		}
	}()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	return func() { _ = pc.Close() }
}

// lookUp answers a query.
func lookUp(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	names.Lock()
	addrs, known := names.m[strings.TrimSuffix(q.Name.String(), ".")]
	names.Unlock()
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		ip := netip.MustParseAddr(a)
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		switch {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: ip.As4()}})
		case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	b, _ := m.Pack()
	return b
}

// named has a name lead to addrs, and makes it the target, in which %s is the port.
func named(target, name string, addrs ...string) part {
	return with(func(w *world) {
		know(name, addrs...)
		w.target = strings.ReplaceAll(target, "%s", w.port())
	})
}

// found has a resolver of the program's own find addrs, in which %s is the port.
func found(target string, addrs ...resolver.Address) part {
	return with(func(w *world) {
		r := manual.NewBuilderWithScheme("disco")
		var state resolver.State
		for _, a := range addrs {
			a.Addr = strings.ReplaceAll(a.Addr, "%s", w.port())
			state.Addresses = append(state.Addresses, a)
		}
		r.InitialState(state)
		w.dialOpts = append(w.dialOpts, grpc.WithResolvers(r))
		w.target = target
	})
}

// dials has addresses treated: how picks by the host what dialling does.
func dials(how map[string]func(ctx context.Context) error) part {
	return func(w *world) {
		w.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			if f := how[host]; f != nil {
				if err := f(ctx); err != nil {
					return nil, &net.OpError{Op: "dial", Net: network, Err: err}
				}
			}
			if ips, _ := net.DefaultResolver.LookupHost(ctx, host); len(ips) > 0 {
				host = ips[len(ips)-1]
			}
			if strings.HasPrefix(host, "127.") {
				host = "127.0.0.1"
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
		}
	}
}

// blackHole is an address from which nothing comes.
func blackHole(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// refuses is an address at which nobody listens.
func refuses(context.Context) error { return errRefused }

// far is an address that takes its time.
func far(ctx context.Context) error {
	timer := time.NewTimer(150 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hosts is a treatment of addresses.
type hosts = map[string]func(ctx context.Context) error
