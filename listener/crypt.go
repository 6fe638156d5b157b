package listener

import (
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// pace lets no more TLS handshakes compute at a time than half of the
// processors: so many may begin at once that everybody else would have to wait
// behind them. A handshake has its turn from when something has come from the
// client until it answers or waits for more.
type pace chan struct{}

func newPace() pace { return make(pace, max(1, runtime.GOMAXPROCS(0)/2)) }

// turnLimit ends a turn: what takes so long does not compute but waits, for a
// certificate from elsewhere perhaps, and others may go on meanwhile.
const turnLimit = 50 * time.Millisecond

// turn is one turn of a pace.
type turn struct {
	pace  pace
	over  atomic.Bool
	timer *time.Timer
}

// end ends the turn, if it has not ended.
func (t *turn) end() {
	if t.over.CompareAndSwap(false, true) {
		<-t.pace
	}
}

// paced is a connection for the time of a handshake. One goroutine at a time
// uses it.
type paced struct {
	net.Conn

	pace pace
	done <-chan struct{} // ends the wait for a turn
	turn *turn           // which it has; nil if it has none
}

// Read implements net.Conn. A turn begins after it.
func (c *paced) Read(p []byte) (int, error) {
	c.leave()
	n, err := c.Conn.Read(p)
	if err == nil {
		err = c.enter()
	}
	return n, err
}

// Write implements net.Conn. It ends the turn.
func (c *paced) Write(p []byte) (int, error) {
	c.leave()
	return c.Conn.Write(p)
}

// enter waits for a turn.
func (c *paced) enter() error {
	select {
	case c.pace <- struct{}{}:
	case <-c.done:
		return net.ErrClosed
	}
	c.turn = &turn{pace: c.pace}
	c.turn.timer = time.AfterFunc(turnLimit, c.turn.end)
	runtime.Gosched() // others first, who only want to serve a call
	return nil
}

// leave ends the turn, if the handshake has it.
func (c *paced) leave() {
	if c.turn != nil {
		c.turn.timer.Stop()
		c.turn.end()
		c.turn = nil
	}
}
