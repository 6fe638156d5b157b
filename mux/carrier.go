package mux

import (
	"net"
	"sync"

	"culvert/internal/inplace"
)

// buffersWriter is what a connection offers that sends several buffers in one
// write, as wsconn.Conn does.
type buffersWriter interface {
	WriteBuffers(v net.Buffers) (int64, error)
}

// readyWriter is what a connection offers that can say beforehand whether a
// Write of n bytes would wait, as resume.Conn does: nil if not, and else a
// channel from which something is received when it is worth asking again.
type readyWriter interface {
	WriteReady(n int) <-chan struct{}
}

// carrier writes a header and a body to the connection beneath in one write.
// It is for one writer at a time.
type carrier struct {
	net.Conn

	reader  inplace.Reader // Conn
	several buffersWriter  // Conn, if it takes several buffers
	ready   readyWriter    // Conn, if it can say whether a Write would wait

	frontSize int  // how many bytes come before the body of a large frame
	writev    bool // Conn is a socket
	vec       [2][]byte
	bufs      net.Buffers
}

func newCarrier(c net.Conn) *carrier {
	k := &carrier{Conn: c, reader: inplace.Of(c)}
	k.frontSize = headerSize + k.reader.HeaderSize()
	k.ready, _ = c.(readyWriter)
	switch c := c.(type) {
	case buffersWriter:
		k.several = c
	case *net.TCPConn, *net.UnixConn:
		k.writev = true
	}
	return k
}

// joinBufs are shared by all sessions.
var joinBufs = sync.Pool{New: func() any { return new([]byte) }}

// send writes head and body, which may be nil.
func (k *carrier) send(head, body []byte) (err error) {
	switch {
	case len(body) == 0:
		_, err = k.Write(head)
	case k.several != nil:
		k.vec[0], k.vec[1] = head, body
		_, err = k.several.WriteBuffers(k.vec[:])
	case k.writev:
		k.vec[0], k.vec[1] = head, body
		k.bufs = k.vec[:]
		_, err = k.bufs.WriteTo(k.Conn)
	default:
		b := joinBufs.Get().(*[]byte)
		*b = append(append((*b)[:0], head...), body...)
		_, err = k.Write(*b)
		joinBufs.Put(b)
	}
	k.vec[1] = nil
	return err
}
