package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	dialsAtOnce = 64
	addresses   = 100 // 127.0.0.2 and on, from which attackers come
	dialTimeout = 10 * time.Second

	// receiveBuffer is how much the kernel takes for an attacker who does not
	// read. The less, the sooner a server has to wait.
	receiveBuffer = 16 << 10
)

// target is the server from an attacker's point of view, and what was done to it.
type target struct {
	tally

	addr  string
	tls   *tls.Config
	trust *tls.Config // for gRPC clients
	small bool
	dials chan struct{} // bounds how many are under way
}

// scale returns n, or a part of it for a small attack.
func (t *target) scale(n int) int {
	if t.small {
		return max(1, n/5)
	}
	return n
}

// keep has n clients do something again and again, with a pause in between,
// until ctx ends. i is the client's number.
func (t *target) keep(ctx context.Context, n int, pause time.Duration, do func(ctx context.Context, i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				do(ctx, i)
				wait(pause, ctx.Done())
			}
		})
	}
	wg.Wait()
}

// together runs parts of an attack beside each other.
func together(parts ...func()) {
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(p)
	}
	wg.Wait()
}

// A socket is an attacker's connection, which is closed when ctx ends.
type socket struct {
	*tls.Conn
	tcp     *net.TCPConn
	in      *bufio.Reader
	left    int64  // of the frame that payload reads
	session string // under which it can be resumed
	forget  func() bool
}

// Close closes the connection at once, with a RST: nothing is left to wait for.
func (s *socket) Close() error {
	s.forget()
	_ = s.tcp.SetLinger(0)
	return s.tcp.Close()
}

// connect opens a TCP connection from one of many addresses.
func (t *target) connect(ctx context.Context, from int) (*net.TCPConn, error) {
	select {
	case t.dials <- struct{}{}:
		defer func() { <-t.dials }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	d := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+from%addresses))}}
	c, err := d.DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	return tcp, tcp.SetReadBuffer(receiveBuffer)
}

// secure is connect and a TLS handshake.
func (t *target) secure(ctx context.Context, from int) (*socket, error) {
	c, err := t.connect(ctx, from)
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: tls.Client(c, t.tls), tcp: c}
	s.forget = context.AfterFunc(ctx, func() { _ = c.SetLinger(0); _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(dialTimeout))
	if err := s.Handshake(); err != nil {
		_ = s.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Time{})
	s.in = bufio.NewReader(s.Conn)
	return s, nil
}

// An upgrade is what a request for a tunnel says.
type upgrade struct {
	token   string
	raw     bool // culvert.raw.v1
	resume  bool // ask for resumption
	session string
	attempt uint64
	offset  uint64
}

// hostile is the usual request of an attacker, who is a customer.
var hostile = upgrade{token: "attacker"}

func (u upgrade) request() []byte {
	b := []byte("GET /culvert HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ")
	if u.raw {
		b = append(b, "culvert.raw.v1\r\n"...)
	} else {
		b = append(b, "culvert.v1\r\n"...)
	}
	field := func(name, value string) { b = append(b, name+": "+value+"\r\n"...) }
	if u.token != "" {
		field("Authorization", "Bearer "+u.token)
	}
	if u.resume {
		field("Culvert-Resume", "1")
	}
	if u.session != "" {
		field("Culvert-Session", u.session)
		field("Culvert-Attempt", strconv.FormatUint(u.attempt, 10))
		field("Culvert-Offset", strconv.FormatUint(u.offset, 10))
	}
	return append(b, "\r\n"...)
}

// ask sends a request for a tunnel, and returns the status of the answer.
func (s *socket) ask(u upgrade) (status int, err error) {
	_ = s.SetDeadline(time.Now().Add(dialTimeout))
	if _, err := s.Write(u.request()); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close() // which is empty, or the end of the connection
	s.session = resp.Header.Get("Culvert-Session")
	return resp.StatusCode, s.SetDeadline(time.Time{})
}

// open opens a tunnel, and counts what came of it.
func (t *target) open(ctx context.Context, from int, u upgrade) (*socket, bool) {
	s, err := t.secure(ctx, from)
	if err != nil {
		t.failed(ctx)
		return nil, false
	}
	status, err := s.ask(u)
	switch {
	case err != nil:
		t.failed(ctx)
	case status != http.StatusSwitchingProtocols:
		t.add(fmt.Sprintf("answered %d", status), 1)
	default:
		t.add("tunnels", 1)
		return s, true
	}
	_ = s.Close()
	return nil, false
}

// failed counts a connection that failed before there was an answer.
func (t *target) failed(ctx context.Context) {
	if ctx.Err() == nil {
		t.add("connections failed", 1)
	}
}
