package listener

import (
	"crypto/tls"
	"net"
	"runtime"
)

// pace lets no more TLS handshakes compute at a time than half of the
// processors: so many may begin at once that everybody else would have to wait
// behind them. A handshake has its turn from the ClientHello until the answer is
// written; it has none while it waits for the client.
type pace chan struct{}

func newPace() pace { return make(pace, max(1, runtime.GOMAXPROCS(0)/2)) }

// configure returns cfg with turns.
func (p pace) configure(cfg *tls.Config) *tls.Config {
	next := cfg.GetConfigForClient
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := hello.Conn.(*paced)
		select {
		case p <- struct{}{}:
			c.turn = p
			runtime.Gosched()
		case <-hello.Context().Done():
			return nil, hello.Context().Err()
		}
		if next == nil {
			return nil, nil //nolint:nilnil // as the field has it: go on with the same one
		}
		return next(hello)
	}
	return cfg
}

// paced is a connection in a handshake, or after it. One goroutine at a time
// uses it until the handshake is over.
type paced struct {
	net.Conn

	turn pace // which it has; nil if it has none
}

// Write implements net.Conn. The first one ends the turn.
func (c *paced) Write(p []byte) (int, error) {
	if c.turn != nil {
		c.leave()
	}
	return c.Conn.Write(p)
}

// leave ends the turn, if the handshake has it.
func (c *paced) leave() {
	if c.turn != nil {
		<-c.turn
		c.turn = nil
	}
}

// Unwrap returns the connection itself.
func (c *paced) Unwrap() net.Conn { return c.Conn }
