package relay

import (
	"context"
	"errors"
	"sync"
)

// Cutter cuts the connections of a Relay, and counts.
type Cutter struct {
	Relay *Relay
	OnCut func(Record) // told of each cut; may be nil

	mu     sync.Mutex
	counts Counts
}

// Counts says how often a Cutter cut.
type Counts struct {
	Made int
	Kind [Kinds]int
	Idle int // cuts of a connection that had nothing to carry
}

// Next makes a cut in a random way, 1 to 60 ms after the connection carried
// something in both directions: none if that ended by itself, and up to most if
// handshakes are to be cut. An error says that ctx ended first.
func (c *Cutter) Next(ctx context.Context, most int) error {
	l, err := c.Relay.await(ctx)
	if err != nil {
		return errors.New("time was up while waiting for a connection that carries bytes each way")
	}
	Wait(c.Relay.millis(1, 60), ctx.Done())
	k := Kind(c.Relay.between(0, int(Kinds)-1))
	if k == handshake {
		return c.handshakes(ctx, l, most)
	}
	if r, ok := c.Relay.cut(l, k); ok {
		c.add(r)
	}
	return nil
}

// handshakes cuts l, and up to maxArmed connections that come in its place
// while they shake hands, as long as that makes most cuts at most.
func (c *Cutter) handshakes(ctx context.Context, l *link, most int) error {
	armed := min(c.Relay.between(1, maxArmed), most-1)
	r, ok := c.Relay.cutAndArm(l, armed)
	if !ok {
		return nil
	}
	c.add(r)
	for range armed {
		r, ok, err := c.Relay.awaitHandshake(ctx)
		if err != nil {
			return errors.New("time was up while waiting for a connection to cut in its handshake")
		}
		if !ok {
			break
		}
		c.add(r)
	}
	return nil
}

func (c *Cutter) add(r Record) {
	if c.OnCut != nil {
		c.OnCut(r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Made++
	c.counts.Kind[r.Kind]++
	if r.idle {
		c.counts.Idle++
	}
}

// Counts returns how often c cut until now.
func (c *Cutter) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}
