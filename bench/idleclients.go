package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// dialers is how many idle connections are opened, or closed, at a time.
const dialers = 16

// startIdleServer starts a process that waits for its order. It is killed when
// ctx ends.
func startIdleServer(ctx context.Context) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), idleServing+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

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
	if c.secure {
		root, err := x509.ParseCertificate(at.Root)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AddCert(root)
		pair.client = &tls.Config{RootCAs: roots}
	} else {
		pair = security{}
	}
	e, err := c.way.listen(pair) // nobody calls: clients come with a listener
	if err != nil {
		return nil, err
	}
	newClient := e.client
	e.client = func(string) client { return newClient(at.Addr) }
	return &stack{contender: c, codec: codec{copies: o.Copies}, endpoint: e}, nil
}

// openIdle opens n connections that share nothing, makes a call on each, and
// returns those that it opened even if it fails.
func openIdle(ctx context.Context, s *stack, n int) ([]*connections, error) {
	all := make([]*connections, n)
	err := inParallel(n, func(i int) (err error) {
		all[i], err = s.conns(ctx, 1)
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
