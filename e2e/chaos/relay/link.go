package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// link is one connection through the relay.
type link struct {
	client, server *net.TCPConn
	up, down       *way // from the client, from the server

	closed chan struct{} // both sides are
	once   sync.Once

	mu      sync.Mutex
	cutting bool // a cut decides from now on when the sides are closed
	ended   bool // one of the ends closed it
	ready   bool // carried a byte each way after the handshake
}

func newLink(client, server *net.TCPConn, seed uint64) *link {
	return &link{
		client: client, server: server,
		up: newWay(client, server, seed), down: newWay(server, client, seed+1),
		closed: make(chan struct{}),
	}
}

// run forwards until the connection is over. ready is called once, when it
// carried something each way after the handshake.
func (l *link) run(ready func()) {
	var wg sync.WaitGroup
	carried := func() {
		if l.becomesReady() {
			ready()
		}
	}
	for _, w := range []*way{l.up, l.down} {
		wg.Go(func() { l.end(w, w.pump(l.closed, carried)) })
	}
	wg.Wait()
	if l.isCut() {
		<-l.closed // the cut closes the sides in its own time
	}
	l.close(false)
}

// end passes on that a way came to its end, unless the way is cut off.
func (l *link) end(w *way, err error) {
	if !w.is(forwarding) {
		return
	}
	l.mu.Lock()
	l.ended = true
	cutting := l.cutting
	l.mu.Unlock()
	if errors.Is(err, io.EOF) || cutting {
		_ = w.dst.CloseWrite()
		return
	}
	l.close(true)
}

func (l *link) becomesReady() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready || !l.up.started() || !l.down.started() {
		return false
	}
	l.ready = true
	return true
}

// usable reports whether the connection can be cut.
func (l *link) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready && !l.cutting && !l.ended
}

// begin claims the connection for a cut. It fails if it is over already.
func (l *link) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cutting || l.ended {
		return false
	}
	l.cutting = true
	return true
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cutting
}

// close closes both sides, with a RST if reset is set.
func (l *link) close(reset bool) {
	l.once.Do(func() {
		l.up.set(dropping) // neither way may tell the other side in its own way
		l.down.set(dropping)
		for _, c := range []*net.TCPConn{l.client, l.server} {
			closeSide(c, reset)
		}
		close(l.closed)
	})
}

func closeSide(c *net.TCPConn, reset bool) {
	if reset {
		_ = c.SetLinger(0)
	}
	_ = c.Close()
}

// Wait waits for d, or until stop is closed.
func Wait(d time.Duration, stop <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	}
}
