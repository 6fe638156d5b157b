package mux

import (
	"net"
	"sync"
)

// buffersWriter is what a connection offers that sends several buffers in one
// write, as wsconn.Conn does.
type buffersWriter interface {
	WriteBuffers(v net.Buffers) (int64, error)
}

// carrier writes a header and a body to the connection beneath in one write.
// It is for one writer at a time.
type carrier struct {
	net.Conn

	several buffersWriter // Conn, if it takes several buffers
	writev  bool          // Conn is a socket
	vec     [2][]byte
	bufs    net.Buffers
}

func newCarrier(c net.Conn) *carrier {
	k := &carrier{Conn: c}
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
		k.vec = [2][]byte{head, body}
		_, err = k.several.WriteBuffers(k.vec[:])
	case k.writev:
		k.vec = [2][]byte{head, body}
		k.bufs = k.vec[:]
		_, err = k.bufs.WriteTo(k.Conn)
	default:
		b := joinBufs.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put
		*b = append(append((*b)[:0], head...), body...)
		_, err = k.Write(*b)
		joinBufs.Put(b)
	}
	k.vec = [2][]byte{}
	return err
}
