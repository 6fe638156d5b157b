package main

import (
	"context"
	"fmt"
	"sync"
)

// cutter makes the cuts.
type cutter struct {
	relay *relay
	gaps  *gaps

	mu    sync.Mutex
	kinds [kinds]int
	made  int
	idle  int // cuts of a connection that had nothing to carry
}

// cut makes n cuts, each of them 1 to 60 ms after the connection carried
// something in both directions.
func (c *cutter) cut(ctx context.Context, n int) error {
	for c.count() < n {
		l, err := c.relay.Await(ctx)
		if err != nil {
			return c.stuck(n, "waiting for a connection that carries bytes each way")
		}
		wait(c.relay.millis(1, 60), ctx.Done())
		k := kind(c.relay.between(0, int(kinds)-1))
		if k == handshake {
			err = c.handshakes(ctx, l, n)
		} else if r, ok := c.relay.Cut(l, k); ok {
			c.add(r)
		}
		if err != nil {
			return c.stuck(n, "waiting for a connection to cut in its handshake")
		}
	}
	return nil
}

// handshakes cuts l, and up to maxArmed connections that come in its place
// while they shake hands, as long as that makes n cuts at most.
func (c *cutter) handshakes(ctx context.Context, l *link, n int) error {
	armed := min(c.relay.between(1, maxArmed), n-c.count()-1)
	r, ok := c.relay.CutAndArm(l, armed)
	if !ok {
		return nil
	}
	c.add(r)
	for range armed {
		r, ok, err := c.relay.AwaitHandshake(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		c.add(r)
	}
	return nil
}

func (c *cutter) stuck(n int, why string) error {
	return fmt.Errorf("after %d of %d cuts time was up while %s", c.count(), n, why)
}

func (c *cutter) add(r record) {
	c.gaps.add(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	c.kinds[r.kind]++
	if r.idle {
		c.idle++
	}
}

func (c *cutter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}
