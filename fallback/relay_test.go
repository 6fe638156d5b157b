package fallback_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// treatment is what a relay does with a connection whose ClientHello offers h2.
type treatment int32

const (
	pass treatment = iota
	cut
	swallow
)

// relay is a middlebox at front: it relays to the w.origin, and treats clients
// that offer h2 as it is told.
type relay struct {
	world     *world
	treatment atomic.Int32
	offers    atomic.Int64 // connections that offered h2
	others    atomic.Int64 // and that did not

	mu    sync.Mutex
	conns map[net.Conn]bool // to clients, by whether they offered h2
}

// relay starts a middlebox.
func (w *world) relay(t treatment) *relay {
	r := &relay{world: w, conns: map[net.Conn]bool{}}
	r.treat(t)
	port := w.net.Listen(w.front)
	go func() {
		for {
			c, err := port.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	w.atEnd(func() {
		_ = port.Close()
		r.cutAll(func(bool) bool { return true })
	})
	return r
}

// treat sets what becomes of new connections that offer h2.
func (r *relay) treat(t treatment) { r.treatment.Store(int32(t)) }

// cutAll closes the connections that which picks.
func (r *relay) cutAll(which func(h2 bool) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, h2 := range r.conns {
		if which(h2) {
			_ = c.Close()
		}
	}
}

func (r *relay) serve(c net.Conn) {
	defer c.Close()
	hello := make([]byte, 16<<10)
	n, err := c.Read(hello)
	if err != nil {
		return
	}
	h2 := bytes.Contains(hello[:n], []byte("\x02h2"))
	r.mu.Lock()
	r.conns[c] = h2
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.conns, c)
		r.mu.Unlock()
	}()
	if !h2 {
		r.others.Add(1)
	} else {
		r.offers.Add(1)
		switch treatment(r.treatment.Load()) {
		case cut:
			return
		case swallow:
			_, _ = io.Copy(io.Discard, c)
			return
		}
	}
	s, err := r.world.net.DialNear(context.Background(), "tcp", r.world.origin)
	if err != nil {
		return
	}
	defer s.Close()
	_, _ = s.Write(hello[:n])
	go func() {
		_, _ = io.Copy(c, s)
		_ = c.Close()
	}()
	_, _ = io.Copy(s, c)
}
