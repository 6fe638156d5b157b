package main

import (
	"maps"
	"net"
	"slices"
	"sync"
)

// queue is a net.Listener of connections that others accepted. Closing it
// closes the listener underneath.
type queue struct {
	addr   net.Addr
	under  interface{ Close() error }
	conns  chan net.Conn
	closed chan struct{}

	mu       sync.Mutex
	isClosed bool
	sessions map[net.Listener]struct{}
}

func newQueue(addr net.Addr, under interface{ Close() error }) *queue {
	return &queue{
		addr: addr, under: under, conns: make(chan net.Conn), closed: make(chan struct{}),
		sessions: make(map[net.Listener]struct{}),
	}
}

// put hands c to Accept, or closes it when the queue is closed.
func (q *queue) put(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.closed:
		c.Close()
	}
}

// serve puts what session accepts into the queue until either ends, and
// closes the session.
func (q *queue) serve(session net.Listener) {
	defer session.Close()
	q.mu.Lock()
	if q.isClosed {
		q.mu.Unlock()
		return
	}
	q.sessions[session] = struct{}{}
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.sessions, session)
		q.mu.Unlock()
	}()
	for {
		c, err := session.Accept()
		if err != nil {
			return
		}
		q.put(c)
	}
}

// Accept returns the next connection.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and the sessions, and closes the listener underneath. Of
// several calls only the first does something.
func (q *queue) Close() error {
	q.mu.Lock()
	if q.isClosed {
		q.mu.Unlock()
		return nil
	}
	q.isClosed = true
	close(q.closed)
	sessions := slices.Collect(maps.Keys(q.sessions))
	q.mu.Unlock()
	for _, s := range sessions {
		s.Close()
	}
	return q.under.Close()
}

// Addr is the address of the listener underneath.
func (q *queue) Addr() net.Addr { return q.addr }
