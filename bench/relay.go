package main

import (
	"net"
	"sync"
	"time"
)

// A relay stands in for a long way between clients and a server: all that goes
// through it arrives delay later, handshakes of TCP included. Its bandwidth is
// that of the machine.
type relay struct {
	lis    net.Listener
	target string
	delay  time.Duration // one way
	ended  chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// newRelay starts a relay to target on a free loopback port.
func newRelay(target string, delay time.Duration) (*relay, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{
		lis: lis, target: target, delay: delay,
		ended: make(chan struct{}), conns: make(map[net.Conn]struct{}),
	}
	r.wg.Go(r.accept)
	return r, nil
}

// addr is where clients connect.
func (r *relay) addr() string { return r.lis.Addr().String() }

// Close cuts all connections and waits for the end of them.
func (r *relay) Close() error {
	close(r.ended)
	err := r.lis.Close()
	r.mu.Lock()
	for c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
	return err
}

func (r *relay) accept() {
	for {
		c, err := r.lis.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.carry(c) })
	}
}

// carry connects client with the server. The kernel has told the client at once
// that it is connected, so its bytes wait here for the round trip that this
// takes over a long way; the server sees the connection when the third packet
// would arrive.
func (r *relay) carry(client net.Conn) {
	if !r.hold(client) {
		return
	}
	defer r.release(client)
	if !r.wait(2 * r.delay) {
		return
	}
	up, down := newLine(r.delay), newLine(r.delay)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { up.fill(client) })
	defer client.Close() // before the wait
	if !r.wait(r.delay) {
		up.abandon()
		return
	}
	server, err := net.Dial("tcp", r.target)
	if err != nil || !r.hold(server) {
		up.abandon()
		return
	}
	defer r.release(server)
	wg.Go(func() { down.fill(server) })
	var drained sync.WaitGroup
	drained.Go(func() { up.drain(server, client) })
	drained.Go(func() { down.drain(client, server) })
	drained.Wait()
}

// wait waits for d, or returns false when the relay is closed before.
func (r *relay) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ended:
		return false
	}
}

// hold has Close close c. If that is over, it closes c and returns false.
func (r *relay) hold(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.ended:
		c.Close()
		return false
	default:
		r.conns[c] = struct{}{}
		return true
	}
}

// release closes c.
func (r *relay) release(c net.Conn) {
	c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}
