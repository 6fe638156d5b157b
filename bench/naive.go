package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/hashicorp/yamux"
)

// wsutilConn is a WebSocket as a net.Conn as one would first write it: a
// message for each Write, each message read whole.
type wsutilConn struct {
	net.Conn
	br     *bufio.Reader // bytes that came with the handshake, or nil
	client bool
	rest   []byte // of the last message
}

// Read reads from the message at hand, or the next one.
func (c *wsutilConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		var err error
		if c.client {
			c.rest, err = wsutil.ReadServerBinary(c.stream())
		} else {
			c.rest, err = wsutil.ReadClientBinary(c.stream())
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write sends p as one message.
func (c *wsutilConn) Write(p []byte) (int, error) {
	var err error
	if c.client {
		err = wsutil.WriteClientBinary(c.Conn, p)
	} else {
		err = wsutil.WriteServerBinary(c.Conn, p)
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// stream reads what came early, then the connection.
func (c *wsutilConn) stream() io.ReadWriter {
	if c.br == nil || c.br.Buffered() == 0 {
		return c.Conn
	}
	return struct {
		io.Reader
		io.Writer
	}{c.br, c.Conn}
}

// quietYamux is yamux's default configuration without its log on stderr.
func quietYamux() *yamux.Config {
	cfg := yamux.DefaultConfig()
	cfg.LogOutput = io.Discard
	return cfg
}

// listenNaive is the shortest way to a tunnel: gobwas/ws messages, and yamux
// as it comes.
func listenNaive(s security) (*endpoint, error) {
	s = s.withALPN("http/1.1")
	inner, err := s.listen()
	if err != nil {
		return nil, err
	}
	q := newQueue(inner.Addr(), inner)
	go func() {
		for {
			c, err := inner.Accept()
			if err != nil {
				return
			}
			go acceptNaive(c, q)
		}
	}()
	return &endpoint{lis: q, client: func(addr string) client {
		nc := &naiveClient{security: s}
		return clientOver(addr, nc.dial, nc)
	}}, nil
}

// acceptNaive upgrades c and puts its streams into q until it ends.
func acceptNaive(c net.Conn, q *queue) {
	defer c.Close()
	if _, err := ws.Upgrade(c); err != nil {
		return
	}
	session, err := yamux.Server(&wsutilConn{Conn: c}, quietYamux())
	if err != nil {
		return
	}
	q.serve(session)
}

// naiveClient shares one session among the connections dialed with it.
type naiveClient struct {
	security security
	mu       sync.Mutex
	session  *yamux.Session
}

func (n *naiveClient) dial(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session == nil {
		c, err := n.security.dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		// The TLS, if any, is there already.
		d := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
		_, br, _, err := d.Dial(ctx, "ws://"+addr+"/")
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		n.session, err = yamux.Client(&wsutilConn{Conn: c, br: br, client: true}, quietYamux())
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return n.session.Open()
}

// Close ends the session.
func (n *naiveClient) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session == nil {
		return nil
	}
	return n.session.Close()
}
