package testnet

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Network is TCP in memory, with a delay. In a testing/synctest bubble its time
// is virtual, so that round trips can be counted exactly.
type Network struct {
	Delay time.Duration // from one end to the other; not to be changed

	mu    sync.Mutex
	ports map[string]*port
	dials int
}

// Dials returns how many connections were opened.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Listen opens a port.
func (n *Network) Listen(addr string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{network: n, addr: address(addr), conns: make(chan net.Conn), closed: make(chan struct{})}
	if n.ports == nil {
		n.ports = map[string]*port{}
	}
	n.ports[addr] = p
	return p
}

// Dial connects to a port after a round trip, or is refused after one.
func (n *Network) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	return n.dial(ctx, addr, n.Delay)
}

// DialNear connects without a delay.
func (n *Network) DialNear(ctx context.Context, _, addr string) (net.Conn, error) {
	return n.dial(ctx, addr, 0)
}

func (n *Network) dial(ctx context.Context, addr string, delay time.Duration) (net.Conn, error) {
	timer := time.NewTimer(2 * delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	}
	n.mu.Lock()
	n.dials++
	p := n.ports[addr]
	n.mu.Unlock()
	if p == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	client, server := pair(p.addr, delay)
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
	case <-ctx.Done():
	}
	_ = client.Close()
	_ = server.Close()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// pair returns the ends of a connection to addr.
func pair(addr net.Addr, delay time.Duration) (client, server net.Conn) {
	client, near := net.Pipe()
	far, server := net.Pipe()
	go carry(far, near, delay)
	go carry(near, far, delay)
	return &named{client, address("client:1"), addr}, &named{server, addr, address("client:1")}
}

// packet is what was written at once, or the end.
type packet struct {
	due  time.Time
	data []byte
	err  error
}

// carry copies from src to dst with the delay.
func carry(dst, src net.Conn, delay time.Duration) {
	packets := make(chan packet, 1<<10)
	go func() {
		for {
			buf := make([]byte, 16<<10)
			k, err := src.Read(buf)
			packets <- packet{time.Now().Add(delay), buf[:k], err}
			if err != nil {
				return
			}
		}
	}()
	for p := range packets {
		if wait := time.Until(p.due); wait > 0 {
			time.Sleep(wait) //nolint:forbidigo // it is what the network is for
		}
		if p.err != nil {
			_ = dst.Close()
			return
		}
		if _, err := dst.Write(p.data); err != nil {
			_ = src.Close() // the other end is gone, which ends the reader
			for p := range packets {
				if p.err != nil {
					return
				}
			}
		}
	}
}

// named is a conn with addresses, and the errors of TCP.
type named struct {
	net.Conn

	local, remote net.Addr
}

func (c *named) LocalAddr() net.Addr  { return c.local }
func (c *named) RemoteAddr() net.Addr { return c.remote }

// Write implements net.Conn.
func (c *named) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return n, err
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// port is a listener of a Network.
type port struct {
	network *Network
	addr    net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// Accept implements net.Listener.
func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *port) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.network.mu.Lock()
		defer p.network.mu.Unlock()
		if p.network.ports[p.addr.String()] == p {
			delete(p.network.ports, p.addr.String())
		}
	})
	return nil
}

// Addr implements net.Listener.
func (p *port) Addr() net.Addr { return p.addr }
