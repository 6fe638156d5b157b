package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// clientEnds is the environment variable that makes this program a process
// with nothing but the clients' ends of connections.
const clientEnds = "BENCH_CLIENT_ENDS"

// opened is what such a process says when all connections are open.
const opened = "open"

// An order is what a process with the clients' ends is to open, as JSON on its
// standard input: a call on each connection, and nothing after. The process
// keeps the connections until its input ends.
type order struct {
	Contender   string
	Addr        string
	Root        []byte // the server's certificate, or nil
	Connections int
	Copies      bool // the codec does
}

// A child is a process that this one started, with pipes to it.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts this program once more, as what the environment variable
// makes it: it waits for its order. It is killed when ctx ends.
func startChild(ctx context.Context, variable string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), variable+"=1")
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

// open sends o and waits until all its connections are open.
func (c *child) open(o order) error {
	if err := json.NewEncoder(c.in).Encode(o); err != nil {
		return err
	}
	line, err := c.out.ReadString('\n')
	if line = strings.TrimSpace(line); line != opened {
		return errors.Join(fmt.Errorf("process with the clients' ends: %q", line), err)
	}
	return nil
}

// end has the connections closed and waits for the process.
func (c *child) end() error {
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

// keepClientEnds does what the order on in says and returns the exit status.
func keepClientEnds(in io.Reader, out io.Writer) int {
	if err := obey(in, out); err != nil {
		fmt.Fprintf(out, "%q\n", err)
		return 1
	}
	return 0
}

// obey opens the connections that each order on in asks for, says so on out,
// and closes all when in ends. The orders are for one contender.
func obey(in io.Reader, out io.Writer) (err error) {
	var o order
	d := json.NewDecoder(in)
	if err := d.Decode(&o); err != nil {
		return err
	}
	s, err := o.stack()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.endpoint.lis.Close()) }()
	var open []*connections
	defer func() {
		for _, c := range open {
			err = errors.Join(err, c.Close())
		}
	}()
	for err == nil {
		for range o.Connections {
			c, err := s.conns(context.Background(), 1)
			if err != nil {
				return err
			}
			open = append(open, c)
		}
		fmt.Fprintln(out, opened)
		err = d.Decode(&o)
	}
	return ignoreEOF(err)
}

// stack returns a stack without a server, whose clients call the order's.
func (o *order) stack() (*stack, error) {
	pair, err := newSecurity()
	if err != nil {
		return nil, err
	}
	c, err := contenderCalled(o.Contender)
	if err != nil {
		return nil, err
	}
	return c.callers(pair, o.Addr, o.Root, codec{copies: o.Copies})
}

// contenderCalled returns the contender of that name.
func contenderCalled(name string) (contender, error) {
	for _, c := range contenders(regexp.MustCompile("")) {
		if c.String() == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("no contender is called %q", name)
}

// callers returns a stack without a server, whose clients call the one at addr,
// which has the certificate root if c is secure.
func (c contender) callers(pair security, addr string, root []byte, cod codec) (*stack, error) {
	if c.secure {
		cert, err := x509.ParseCertificate(root)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		pair.client = &tls.Config{RootCAs: roots}
	} else {
		pair = security{}
	}
	e, err := c.way.listen(pair) // nobody calls: clients come with a listener
	if err != nil {
		return nil, err
	}
	newClient := e.client
	e.client = func(string) client { return newClient(addr) }
	return &stack{contender: c, codec: cod, endpoint: e}, nil
}
