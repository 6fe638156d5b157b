package fallback_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/fallback"
	"culvert/internal/maxframe"
	"culvert/listener"
	"culvert/resume"
)

// meddler is a hop on a connection in cleartext: it changes the answer to the
// upgrade, and passes no large frames of the client.
type meddler struct {
	net.Conn

	cookie   string       // that it sets
	maxFrame int          // 0: any
	code     bool         // it says why, by 1009
	onHead   func(string) // told of each request

	mu       sync.Mutex
	answered bool
	refused  bool
}

// Write takes whole frames, as a client writes them.
func (m *meddler) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("GET ")) {
		m.onHead(string(p))
		return m.Conn.Write(p)
	}
	if m.maxFrame > 0 && largest(p) > m.maxFrame {
		m.mu.Lock()
		m.refused = true
		m.mu.Unlock()
		m.Conn.Close()
		return len(p), nil
	}
	return m.Conn.Write(p)
}

func (m *meddler) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refused && m.code && err != nil {
		m.code = false
		return copy(p, []byte{0x88, 2, 0x03, 0xf1}), nil
	}
	if !m.answered && m.cookie != "" && n > 0 {
		m.answered = true
		head := bytes.Replace(bytes.Clone(p[:n]), []byte("\r\n\r\n"), []byte("\r\nSet-Cookie: "+m.cookie+"\r\n\r\n"), 1)
		return copy(p, head), err
	}
	return n, err
}

// largest returns the length of the largest payload among frames.
func largest(p []byte) (n int) {
	for len(p) >= 2 {
		size, head := int(p[1]&0x7f), 2
		switch size {
		case 126:
			size, head = int(binary.BigEndian.Uint16(p[2:])), 4
		case 127:
			size, head = int(binary.BigEndian.Uint64(p[2:])), 10
		}
		n = max(n, size)
		p = p[min(len(p), head+4+size):]
	}
	return n
}

// heads are the requests for WebSockets that a hop saw.
type heads struct {
	mu  sync.Mutex
	all []string
}

func (h *heads) add(head string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, head)
}

// fields returns the values of a field, one for each request.
func (h *heads) fields(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var values []string
	for _, head := range h.all {
		var value string
		for line := range strings.Lines(head) {
			if v, ok := strings.CutPrefix(line, name+": "); ok {
				value = strings.TrimSpace(v)
			}
		}
		values = append(values, value)
	}
	return values
}

// TestMaxFrame sends what a hop does not pass in large frames.
func TestMaxFrame(t *testing.T) {
	for _, code := range []bool{true, false} {
		t.Run(fmt.Sprintf("code %t", code), func(t *testing.T) {
			var seen heads
			var lost atomic.Int64
			d := &fallback.Dialer{Mode: fallback.WebSocket, Resume: counted(new(atomic.Int64), new(atomic.Int64), &lost)}
			d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &meddler{Conn: c, maxFrame: 40_000, code: code, onHead: seen.add}, err
			}
			c := start(t, false, listener.Config{}, d).client(t)
			if _, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, 1<<20)}}); err != nil {
				t.Fatal(err)
			}
			if n := seen.fields(maxframe.Header); lost.Load() != 0 || len(n) < 3 || n[0] != "" || n[len(n)-1] != "32768" && n[len(n)-1] != "16384" {
				t.Errorf("got %d tunnels lost, and frames of %v asked for, want 16 or 32 KiB in the end", lost.Load(), n)
			}
		})
	}
}

// TestCookies shows which upgrade requests have the cookies of a 101: those of the
// same session, beside the caller's own.
func TestCookies(t *testing.T) {
	var seen heads
	var resumed, lost, tunnels atomic.Int64
	w := &wires{}
	w.from = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &meddler{Conn: c, cookie: fmt.Sprintf("LB=%d; Path=/", tunnels.Add(1)), onHead: seen.add}, err
	}
	d := &fallback.Dialer{
		Mode: fallback.WebSocket, NetDial: w.dial, Resume: counted(new(atomic.Int64), &resumed, &lost),
		Header: func(context.Context) (http.Header, error) { return http.Header{"Cookie": {"own=1"}}, nil },
	}
	f := start(t, false, listener.Config{}, d)
	c := f.client(t)
	for range 3 {
		fourKinds(t.Context(), t, c, 100)
		w.cut(nil)
	}
	fourKinds(t.Context(), t, c, 100)
	d.Close()
	d2 := &fallback.Dialer{Mode: fallback.WebSocket, NetDial: w.dial, Header: d.Header, Insecure: true}
	defer d2.Close()
	fourKinds(t.Context(), t, (&fixture{addr: f.addr, dialer: d2}).client(t), 100)
	got := strings.Join(seen.fields("Cookie"), ", ")
	if want := "own=1, own=1; LB=1, own=1; LB=2, own=1; LB=3, own=1"; got != want || lost.Load() != 0 || resumed.Load() != 3 {
		t.Errorf("got %d resumed, %d lost, and cookies\n%s, want 3, 0, and\n%s", resumed.Load(), lost.Load(), got, want)
	}
}

// TestHeaderFails resumes a tunnel though Dialer.Header fails for a while, and the
// server does not know the first credentials that it returns then.
func TestHeaderFails(t *testing.T) {
	var calls, resumed, lost atomic.Int64
	w := &wires{}
	d := &fallback.Dialer{
		Mode: fallback.WebSocket, NetDial: w.dial, Resume: counted(new(atomic.Int64), &resumed, &lost),
		Header: func(context.Context) (http.Header, error) {
			switch calls.Add(1) {
			case 2, 3:
				return nil, errors.New("no token yet")
			case 4:
				return http.Header{"Token": {"expired"}}, nil
			}
			return http.Header{"Token": {"good"}}, nil
		},
	}
	f := start(t, false, listener.Config{Authorize: func(r *http.Request) (any, error) {
		if r.Header.Get("Token") != "good" {
			return nil, &listener.RefusedError{StatusCode: http.StatusUnauthorized}
		}
		return "somebody", nil
	}}, d)
	c := f.client(t)
	fourKinds(t.Context(), t, c, 100)
	w.cut(nil)
	fourKinds(t.Context(), t, c, 100)
	if calls.Load() != 5 || resumed.Load() != 1 || lost.Load() != 0 {
		t.Errorf("got %d calls, %d resumed, %d lost, want 5, 1, 0", calls.Load(), resumed.Load(), lost.Load())
	}
}

// TestRestarted shows that RPCs fail soon, with the answer as the cause, if another
// server answers alone, which does not know the session.
func TestRestarted(t *testing.T) {
	losses := make(chan error, 1)
	var addr atomic.Value
	w := &wires{}
	w.from = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr.Load().(string))
	}
	d := &fallback.Dialer{Mode: fallback.WebSocket, NetDial: w.dial, Resume: &resume.Config{Observe: &resume.Observer{
		Lost: func(err error) { losses <- err },
	}}}
	before := start(t, false, listener.Config{}, d)
	after := start(t, false, listener.Config{}, &fallback.Dialer{})
	addr.Store(before.addr)
	c := before.client(t)
	fourKinds(t.Context(), t, c, 100)
	addr.Store(after.addr)
	w.cut(nil)
	if _, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v from an RPC on the old tunnel, want Unavailable", err)
	}
	if _, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Errorf("got %v from the next RPC, want nil", err)
	}
	err := <-losses
	var lost *resume.LostError
	var refused *resume.RefusedError
	if !errors.As(err, &lost) || !errors.As(err, &refused) || refused.StatusCode != 404 || lost.After > limit/2 {
		t.Errorf("got %v, want it lost soon by a 404", err)
	}
}

// TestStatusTells shows that Status tells of WebSockets that are accepted and cut.
func TestStatusTells(t *testing.T) {
	told := make(chan fallback.Status, 100)
	w := &wires{}
	d := &fallback.Dialer{Mode: fallback.WebSocket, NetDial: w.dial}
	var addr string
	d.Resume = &resume.Config{Observe: &resume.Observer{Useless: func(n int, _ error) {
		if n == 4 {
			told <- d.Status(addr)
		}
	}}}
	f := start(t, false, listener.Config{}, d)
	addr = f.addr
	c := f.client(t)
	fourKinds(t.Context(), t, c, 100)
	w.mu.Lock()
	w.from = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &cutter{Conn: c}, err
	}
	w.mu.Unlock()
	w.cut(nil)
	s := <-told
	var useless *resume.UselessError
	if s.Failures < 3 || !errors.As(s.LastError, &useless) {
		t.Errorf("got %d failures, %v, want some, and a UselessError", s.Failures, s.LastError)
	}
}

// cutter cuts a connection behind the answer to the upgrade.
type cutter struct {
	net.Conn

	answered bool
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.answered {
		c.Conn.Close()
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	c.answered = true
	if end := bytes.Index(p[:n], []byte("\r\n\r\n")); end > 0 {
		n = end + 4
	}
	return n, err
}
