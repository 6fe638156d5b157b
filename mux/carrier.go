package mux

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// headerSize is the length of a yamux frame header.
const headerSize = 12

// buffersWriter is what a connection offers that sends several buffers in one
// write, as wsconn.Conn does.
type buffersWriter interface {
	WriteBuffers(v net.Buffers) (int64, error)
}

// carrier is the connection beneath a session. yamux writes the header and the
// body of a data frame one after the other; carrier holds a header that a body
// must follow and sends both in one write. Only yamux's send loop writes.
type carrier struct {
	net.Conn

	send func(head, body []byte) error

	head [headerSize]byte
	held bool // head waits for its body

	mu  sync.Mutex
	err error // the first error of the connection
}

func newCarrier(c net.Conn) *carrier {
	k := &carrier{Conn: c}
	switch c := c.(type) {
	case buffersWriter:
		var v [2][]byte
		k.send = func(head, body []byte) error {
			v[0], v[1] = head, body
			_, err := c.WriteBuffers(v[:])
			v[1] = nil
			return err
		}
	case *net.TCPConn, *net.UnixConn:
		var v [2][]byte
		var bufs net.Buffers
		k.send = func(head, body []byte) error {
			v[0], v[1] = head, body
			bufs = v[:]
			_, err := bufs.WriteTo(k.Conn)
			v[1] = nil
			return err
		}
	default:
		k.send = k.sendJoined
	}
	return k
}

// sendJoined is for connections that can only write one buffer.
func (k *carrier) sendJoined(head, body []byte) error {
	b, ok := joinBufs.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	*b = append(append((*b)[:0], head...), body...)
	_, err := k.Conn.Write(*b)
	joinBufs.Put(b)
	return err
}

// joinBufs are shared by all sessions.
var joinBufs sync.Pool

// Write implements io.Writer for yamux.
func (k *carrier) Write(p []byte) (int, error) {
	var err error
	switch {
	case k.held:
		k.held = false
		err = k.send(k.head[:], p)
	case len(p) == headerSize && bodyFollows(p):
		k.held = true
		copy(k.head[:], p)
		return len(p), nil
	default:
		_, err = k.Conn.Write(p)
	}
	if err != nil {
		k.fail(err)
		return 0, err
	}
	return len(p), nil
}

// bodyFollows reports whether the yamux header h is of a data frame with a
// body: version 0, type 0, length above 0.
func bodyFollows(h []byte) bool {
	return h[0] == 0 && h[1] == 0 && binary.BigEndian.Uint32(h[8:]) > 0
}

// Read implements io.Reader for yamux.
func (k *carrier) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	if err != nil {
		k.fail(err)
	}
	return n, err
}

// fail keeps the first error, which is the cause of all that follow.
func (k *carrier) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = err
	}
}

// cause returns why the session ended, given what yamux says. A connection
// that ended in an orderly way gives io.EOF.
func (k *carrier) cause(yamuxErr error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil && !errors.Is(k.err, net.ErrClosed) {
		return k.err
	}
	if errors.Is(yamuxErr, io.EOF) {
		return io.EOF
	}
	return yamuxErr
}
