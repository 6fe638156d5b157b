package fuzz

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/resume"
	"culvert/wsconn"
)

// resumed is a client and a server that are true, and a network that is not.
type resumed struct {
	*testing.T

	sessions resume.Sessions
	name     string
	sides    [2]*side // client, server

	mu    sync.Mutex
	pipes []net.Conn
	fail  []byte // how the next dials go
}

// side is one end of the stream.
type side struct {
	conn    *resume.Conn
	salt    byte
	closed  bool
	read    int
	readErr error

	work    chan int // how much to write
	done    chan struct{}
	written int // belongs to its writer until done
}

func newResumed(t *testing.T) *resumed {
	r := &resumed{T: t}
	cfg := &resume.Config{PingInterval: -1}
	r.sessions.Config = cfg
	server, name := r.sessions.Open(nil)
	r.name = name
	client := resume.New(cfg, func(ctx context.Context, a *resume.Attachment) (resume.Carrier, uint64, error) {
		sa, err := r.sessions.Resume(resume.Request{Name: r.name, Attempt: a.Attempt(), Offset: a.Offset()}, nil)
		if err != nil {
			return nil, 0, err
		}
		return r.dial(a, sa)
	})
	a := client.Prepare()
	carrier, n, err := r.dial(a, server.Prepare())
	if err == nil {
		err = a.Attach(carrier, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []*resume.Conn{client, server} {
		s := &side{conn: c, salt: 'a' + byte(i), work: make(chan int, 200), done: make(chan struct{})}
		r.sides[i] = s
		go s.write()
	}
	return r
}

// write writes what is asked for. What Write says that it took counts.
func (s *side) write() {
	defer close(s.done)
	for n := range s.work {
		m, _ := s.conn.Write(streamBytes(s.salt, s.written, n))
		s.written += m
	}
}

// dial connects a and sa, unless it is to fail: on the way there, or back.
func (r *resumed) dial(a, sa *resume.Attachment) (resume.Carrier, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var how byte
	if len(r.fail) > 0 {
		how, r.fail = r.fail[0]%4, r.fail[1:]
	}
	if how == 1 {
		sa.Abandon()
		return nil, 0, errors.New("no way")
	}
	near, far := net.Pipe()
	r.pipes = append(r.pipes, near, far)
	cfg := &wsconn.Config{ControlBurst: 1 << 30}
	received := sa.Offset()
	if err := sa.Attach(wsconn.Server(far, cfg.WithTexts(sa.OnText)), a.Offset()); err != nil {
		return nil, 0, err
	}
	if how == 2 {
		_ = near.Close()
		return nil, 0, errors.New("the answer was lost")
	}
	return wsconn.Client(near, cfg.WithTexts(a.OnText)), received, nil
}

// step does what op says, with the number n.
func (r *resumed) step(op byte, n int) {
	s := r.sides[op>>7]
	switch op % 8 {
	case 0, 1:
		s.work <- 1 + n*n*2 // up to 130 kB
	case 2, 3:
		r.take(s, n*n)
	case 4:
		r.cut(nil)
	case 5:
		r.cut([]byte{op >> 3, byte(n), byte(n >> 2), byte(n >> 4)})
	case 6:
		if n%3 == 0 {
			s.conn.Drain()
		}
		<-time.After(time.Duration(n) * time.Millisecond)
	default:
		_ = s.conn.Close()
		s.closed = true
	}
	if op&0x40 == 0 {
		synctest.Wait()
	}
}

// take reads up to n bytes, if there are any.
func (r *resumed) take(s *side, n int) {
	r.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	b := make([]byte, 1+n)
	m, err := s.conn.Read(b)
	checkStream(r.T, "Read", 'a'+'b'-s.salt, s.read, b[:m])
	s.read += m
	if err != nil && !errors.Is(err, io.EOF) && !(s.closed && errors.Is(err, net.ErrClosed)) {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			r.Fatalf("got %v from Read", err)
		}
	}
}

// cut ends what carries the stream. The next dials go as fail says.
func (r *resumed) cut(fail []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
	for _, c := range r.pipes {
		_ = c.Close()
	}
	r.pipes = nil
}

// drain reads to the end, which has to be that of what the other side has
// written.
func (r *resumed) drain(s, other *side) {
	r.Helper()
	_ = s.conn.SetReadDeadline(time.Time{})
	for b := make([]byte, 5000); s.readErr == nil; {
		var n int
		n, s.readErr = s.conn.Read(b)
		checkStream(r.T, "Read", other.salt, s.read, b[:n])
		s.read += n
	}
	<-other.done
	if s.read != other.written || !errors.Is(s.readErr, io.EOF) {
		r.Fatalf("got %d bytes and %v, want %d and EOF", s.read, s.readErr, other.written)
	}
}

// end lets the network be, and each side that did not close read to the end.
func (r *resumed) end() {
	client, server := r.sides[0], r.sides[1]
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	close(client.work)
	close(server.work)
	first, second := client, server
	if server.closed {
		first, second = server, client
	}
	if !first.closed {
		go func() {
			defer first.conn.Close()
			<-first.done
		}()
	}
	if !second.closed {
		r.drain(second, first)
		_ = second.conn.Close()
	}
	for _, s := range r.sides {
		<-s.done
		<-s.conn.Done()
	}
}

// abort ends everything, after a failure too.
func (r *resumed) abort() {
	for _, s := range r.sides {
		s.conn.Abort()
	}
}

// FuzzResumed has both sides write, read and close, as ops say, while what
// carries the stream is cut and dials fail. Each side reads what the other one
// has written, nothing lost, doubled or reordered, and then io.EOF, however
// little the other one reads; both sides end, and nothing is kept.
func FuzzResumed(f *testing.F) {
	f.Add([]byte{0, 200, 0x80, 200, 2, 100, 4, 0, 0x82, 50, 0, 9, 7, 0})
	f.Add([]byte{0, 200, 0x40, 200, 5, 0x66, 0x80, 255, 0x82, 50, 6, 250, 2, 255, 6, 50})
	f.Add([]byte{0x80, 220, 2, 30, 4, 0, 0x40, 255, 0x40, 255, 0x40, 255, 0x40, 255, 0x47, 1, 6, 200})
	f.Add([]byte{0x80, 20, 2, 30, 0x45, 1, 0x40, 255, 0x40, 255, 0x40, 255, 7, 100})
	f.Add([]byte{0x80, 20, 0x86, 3, 0x40, 255, 0x82, 20, 0xc7, 0, 0x82, 9, 6, 60})
	f.Add([]byte{0, 255, 0, 255, 0x0d, 1, 0x15, 2, 2, 9, 6, 255, 0x82, 255, 0x82, 255, 6, 255, 0x87, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := newResumed(t)
			defer r.abort()
			for ops = ops[:min(len(ops), 80)]; len(ops) > 1; ops = ops[2:] {
				r.step(ops[0], int(ops[1]))
			}
			r.end()
			r.abort()
			if n, used := r.sessions.Len(), r.sessions.Used(); n != 0 || used != 0 {
				t.Errorf("got %d sessions and %d bytes after the end, want none", n, used)
			}
		})
	})
}
