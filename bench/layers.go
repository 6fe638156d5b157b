package main

import (
	"context"
	"net"
	"net/http"
	"sync"

	"culvert/mux"
	"culvert/wsconn"
)

// listenWS is culvert's WebSocket with nothing on it: one for each ClientConn.
func listenWS(s security) (*endpoint, error) {
	q, dial, err := listenUpgrade(s, func(c *wsconn.Conn, q *queue) { q.put(c) })
	if err != nil {
		return nil, err
	}
	return &endpoint{lis: q, client: func(addr string) client {
		return clientOver(addr, dial, nil)
	}}, nil
}

// listenMux is culvert's session over its WebSocket.
func listenMux(s security) (*endpoint, error) {
	q, dial, err := listenUpgrade(s, func(c *wsconn.Conn, q *queue) {
		session, err := mux.Server(c, nil)
		if err != nil {
			c.Close()
			return
		}
		go q.serve(session)
	})
	if err != nil {
		return nil, err
	}
	return &endpoint{lis: q, client: func(addr string) client {
		m := &muxClient{dialWS: dial}
		return clientOver(addr, m.dial, m)
	}}, nil
}

// listenUpgrade listens for WebSockets, which take gets, and returns a function
// that dials them.
func listenUpgrade(s security, take func(*wsconn.Conn, *queue)) (*queue, func(context.Context, string) (net.Conn, error), error) {
	s = s.withALPN("http/1.1")
	inner, err := s.listen()
	if err != nil {
		return nil, nil, err
	}
	q := serveHTTP(inner, func(q *queue) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := new(wsconn.Upgrader).Upgrade(w, r)
			if err != nil {
				return // Upgrade has answered
			}
			take(c, q)
		})
	})
	d := &wsconn.Dialer{TLS: s.client}
	scheme := "ws"
	if s.client != nil {
		scheme = "wss"
	}
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := d.Dial(ctx, scheme+"://"+addr+"/")
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	return q, dial, nil
}

// muxClient shares one session among the connections dialed with it.
type muxClient struct {
	dialWS  func(context.Context, string) (net.Conn, error)
	mu      sync.Mutex
	session *mux.Session
}

func (m *muxClient) dial(ctx context.Context, addr string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == nil {
		c, err := m.dialWS(ctx, addr)
		if err != nil {
			return nil, err
		}
		if m.session, err = mux.Client(c, nil); err != nil {
			c.Close()
			return nil, err
		}
	}
	return m.session.Open(ctx)
}

// Close ends the session.
func (m *muxClient) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == nil {
		return nil
	}
	return m.session.Close()
}
