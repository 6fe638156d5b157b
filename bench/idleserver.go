package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"culvert/fallback"
	"culvert/listener"
	"culvert/resume"
)

// idleServing is the environment variable that makes this program a process
// that serves idle connections.
const idleServing = "BENCH_IDLE_SERVER"

// An idleServer is what such a process is to serve, as JSON on its standard
// input. It answers with a place. Each further line has it give back memory
// that it does not need, and it ends when its input does.
type idleServer struct {
	Contender   string
	Connections int
	Ping        time.Duration // how often a tunnel shows life
	Copies      bool          // the codec does

	lasts time.Duration // how long the server is watched
}

// A place is where a server listens.
type place struct {
	Addr string
	Root []byte // its certificate
}

// serveIdle does what the order on in says and returns the exit status.
func serveIdle(in io.Reader, out io.Writer) int {
	if err := serveOrder(in, out); err != nil {
		fmt.Fprintf(os.Stderr, "bench: server of idle connections: %v\n", err)
		return 1
	}
	return 0
}

func serveOrder(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.Join(lines.Err(), io.ErrUnexpectedEOF)
	}
	var o idleServer
	if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
		return err
	}
	c, err := o.contender()
	if err != nil {
		return err
	}
	pair, err := newSecurity()
	if err != nil {
		return err
	}
	s, err := c.start(context.Background(), pair, codec{copies: o.Copies})
	if err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	err = answers.Encode(place{s.endpoint.lis.Addr().String(), pair.server.Certificates[0].Certificate[0]})
	for err == nil && lines.Scan() {
		debug.FreeOSMemory()
		err = answers.Encode("done")
	}
	return errors.Join(err, lines.Err(), s.Close())
}

// contender returns the contender that the order names, the product with room
// for all connections.
func (o *idleServer) contender() (contender, error) {
	c, err := contenderCalled(o.Contender)
	if c.way.name == productName {
		c.way.listen = o.listen
	}
	return c, err
}

// listen is listenProduct for many tunnels that show life every o.Ping.
func (o *idleServer) listen(s security) (*endpoint, error) {
	life := &resume.Config{PingInterval: o.Ping}
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{
		TLS: s.server, MaxSessions: o.Connections + 1, MaxResumable: o.Connections + 1, Resume: life,
	})
	if err != nil {
		return nil, err
	}
	return &endpoint{lis: lis, options: lis.ServerOptions(), client: func(addr string) client {
		d := &fallback.Dialer{Mode: fallback.WebSocket, TLS: s.client, Insecure: s.client == nil, Resume: life}
		return client{target: addr, options: d.DialOptions(), close: d.Close}
	}}, nil
}
