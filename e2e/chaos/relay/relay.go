// Package relay forwards TCP connections and cuts them, in every way it can think
// of.
package relay

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Relay forwards TCP connections to a server and cuts them.
type Relay struct {
	ln     net.Listener
	server string
	done   chan struct{}
	wg     sync.WaitGroup

	// handshakes gets a record of each connection cut in its handshake.
	handshakes chan Record

	mu      sync.Mutex
	rnd     *rand.Rand
	links   []*link // in the order of their readiness, those not ready first
	armed   int     // so many connections to come are cut in the handshake
	carried int     // connections that became ready
	changed chan struct{}
}

// New starts a Relay to server, on loopback.
func New(server string, seed uint64) (*Relay, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{
		ln: ln, server: server,
		done:       make(chan struct{}),
		handshakes: make(chan Record, maxArmed),
		rnd:        rand.New(rand.NewPCG(seed, 1)),
		changed:    make(chan struct{}),
	}
	r.wg.Go(r.accept)
	return r, nil
}

// Addr is where the relay listens.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Carried is how many connections carried bytes each way after the handshake.
func (r *Relay) Carried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.carried
}

// Close closes all connections and waits for all goroutines.
func (r *Relay) Close() {
	_ = r.ln.Close()
	close(r.done)
	r.mu.Lock()
	for _, l := range r.links {
		l.close(true)
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *Relay) accept() {
	for {
		c, err := r.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			Wait(10*time.Millisecond, r.done)
			continue
		}
		r.wg.Go(func() { r.serve(c.(*net.TCPConn)) })
	}
}

// serve carries one connection to its end.
func (r *Relay) serve(client *net.TCPConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var d net.Dialer
	s, err := d.DialContext(ctx, "tcp", r.server)
	if err != nil {
		closeSide(client, true)
		return
	}
	r.mu.Lock()
	l := newLink(client, s.(*net.TCPConn), r.rnd.Uint64())
	r.links = slices.Insert(r.links, 0, l)
	if r.armed > 0 {
		r.armed--
		r.wg.Go(r.cutHandshake(l))
	}
	r.mu.Unlock()
	select {
	case <-r.done: // Close may have missed it
		l.close(true)
	default:
	}
	l.run(func() { r.becameReady(l) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links = slices.DeleteFunc(r.links, func(o *link) bool { return o == l })
}

func (r *Relay) becameReady(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.carried++
	r.links = append(slices.DeleteFunc(r.links, func(o *link) bool { return o == l }), l)
	close(r.changed)
	r.changed = make(chan struct{})
}

// await returns the newest connection that carried something each way after
// the handshake and is not cut, as soon as there is one.
func (r *Relay) await(ctx context.Context) (*link, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.mu.Lock()
		changed := r.changed
		for _, l := range slices.Backward(r.links) {
			if l.usable() {
				r.mu.Unlock()
				return l, nil
			}
		}
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
