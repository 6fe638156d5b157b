package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// serveHTTP serves h on inner and returns the queue for the connections that
// h takes over. Closing the queue closes the server.
func serveHTTP(inner net.Listener, handler func(q *queue) http.Handler) *queue {
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0)}
	q := newQueue(inner.Addr(), srv)
	srv.Handler = handler(q)
	go func() { _ = srv.Serve(inner) }() // returns when q is closed
	return q
}

// listenCoder is coder/websocket's NetConn with nothing on it: a WebSocket for
// each ClientConn.
func listenCoder(s security) (*endpoint, error) {
	s = s.withALPN("http/1.1")
	inner, err := s.listen()
	if err != nil {
		return nil, err
	}
	// A NetConn lives as long as its context.
	ctx, cancel := context.WithCancel(context.Background())
	q := serveHTTP(inner, func(q *queue) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return // Accept has answered
			}
			q.put(websocket.NetConn(ctx, c, websocket.MessageBinary))
		})
	})
	lis := &cancelListener{q, cancel}
	return &endpoint{lis: lis, client: func(addr string) client {
		scheme := "ws"
		if s.client != nil {
			scheme = "wss"
		}
		hc := &http.Client{Transport: &http.Transport{TLSClientConfig: s.client, DisableKeepAlives: true}}
		dial := func(dialCtx context.Context, addr string) (net.Conn, error) {
			c, _, err := websocket.Dial(dialCtx, scheme+"://"+addr+"/", &websocket.DialOptions{HTTPClient: hc})
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(ctx, c, websocket.MessageBinary), nil
		}
		return clientOver(addr, dial, nil)
	}}, nil
}

// cancelListener is a queue whose connections end with it.
type cancelListener struct {
	*queue
	cancel context.CancelFunc
}

// Close closes the queue and ends the connections.
func (c *cancelListener) Close() error {
	defer c.cancel()
	return c.queue.Close()
}
