package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// dialers is how many idle connections are opened, or closed, at a time, and pace
// how long each rests when it has opened one. After 15 s the kernel probes idle
// connections, those that were opened together all at once; loopback drops what is
// more than 1,000 packets then; and grpc's server has the kernel give up a TCP
// connection that does not answer for 20 s.
const (
	dialers = 16
	pace    = 16 * time.Millisecond
)

// ask sends question and waits for the answer.
func ask(c *child, question, answer any) error {
	if err := json.NewEncoder(c.in).Encode(question); err != nil {
		return err
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("server of idle connections: %w", err)
	}
	return json.Unmarshal(line, answer)
}

// clients returns a stack without a server, whose clients call the one at at.
func (o *idleServer) clients(pair security, at place) (*stack, error) {
	c, err := o.contender()
	if err != nil {
		return nil, err
	}
	return c.callers(pair, at.Addr, at.Root, codec{copies: o.Copies})
}

// openIdle opens n connections that share nothing, makes a call on each, and
// returns those that it opened even if it fails.
func openIdle(ctx context.Context, s *stack, n int) ([]*connections, error) {
	all := make([]*connections, n)
	err := inParallel(n, func(i int) (err error) {
		all[i], err = s.conns(ctx, 1)
		time.Sleep(pace)
		return err
	})
	return all, err
}

// callIdle makes a call on each of all.
func callIdle(ctx context.Context, s *stack, all []*connections) error {
	return inParallel(len(all), func(i int) error {
		if err := call(ctx, all[i].list[0], unarySize); err != nil {
			return fmt.Errorf("%v, after it was idle: %w", s, err)
		}
		return nil
	})
}

// closeIdle closes those of all that were opened.
func closeIdle(all []*connections) error {
	return inParallel(len(all), func(i int) error {
		if all[i] == nil {
			return nil
		}
		return all[i].Close()
	})
}

// inParallel calls f for each number below n, several at a time. Of each of
// those that go on side by side, the first error ends it and is returned.
func inParallel(n int, f func(i int) error) error {
	var t tasks
	for first := range dialers {
		t.run(func() error {
			for i := first; i < n; i += dialers {
				if err := f(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return t.wait()
}
