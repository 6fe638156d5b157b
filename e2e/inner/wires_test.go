package inner_test

import (
	"context"
	"net"
	"sync"
)

// wires are the TCP connections between the client and squid.
type wires struct {
	mu    sync.Mutex
	open  []net.Conn
	dials int
}

// dial is a Dialer.NetDial.
func (w *wires) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, c)
	w.dials++
	return c, nil
}

// cut cuts them all.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

// dialled returns how many there have been.
func (w *wires) dialled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}
