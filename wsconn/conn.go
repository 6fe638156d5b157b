// Package wsconn makes one WebSocket (RFC 6455) a net.Conn, in either role.
//
// The payload of binary messages is the byte stream; where a message begins or
// ends means nothing. Frames are streamed, never held whole: Read decodes in
// the caller's buffer, so that a connection which is idle holds no memory but
// its own struct. Text messages are a side channel for small control texts.
// There are no extensions; in particular no compression.
//
// Dialer and Upgrader perform the opening handshake; Client and Server take a
// connection on which it was done already.
package wsconn

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"culvert/internal/bell"
	"culvert/internal/cork"
	"culvert/internal/deadline"
	"culvert/internal/sock"
	"culvert/internal/token"
	"culvert/internal/toll"
)

// Conn is a WebSocket as a net.Conn. All its methods may be called
// concurrently, but ReadBuffer.
type Conn struct {
	conn        net.Conn
	sock        io.ReadWriter // reads and writes conn
	cfg         Config
	client      bool
	subprotocol string
	header      http.Header // of the 101, in the client's role

	rmu   sync.Mutex    // held by Read
	early *bytes.Reader // raw bytes that came with the handshake, nil once they are read
	dec   decoder
	rate  tokenBucket
	rerr  error // what every further Read returns

	wtoken    token.Token        // the right to write a frame
	wdeadline *deadline.Deadline // of Write
	writev    bool               // conn writes several buffers in one call

	state atomic.Uint32 // nothing special to look after if it is 0

	wmu         sync.Mutex // guards the fields below
	werr        error      // what every further Write returns
	steady      bool       // who writes to conn must not be interrupted
	pong        []byte     // answer to the latest PING, nil if none is owed
	ping        bool       // a PING is to be sent
	bye         []byte     // payload of the Close frame to be sent, nil if none
	saidBye     bool       // a Close frame was sent: nothing may follow
	controlling bool       // sendControls is running
	closing     bool       // Close was called

	closed bell.Latch     // closed by Close
	closes sync.WaitGroup // until Close has finished
	owned  sync.WaitGroup // goroutines that Close waits for

	born time.Time
	beat heartbeat
	lost atomic.Bool // the peer was silent for too long

	texts, frames toll.Gate // for text messages, and for frames with next to nothing in them
}

// What a Conn's state holds; it is changed with wmu held, but isWriteLimited by
// wdeadline.
const (
	isClosed       = 1 << iota // by this side
	isWriteLimited             // there is a write deadline
	isWriteFailed              // werr is set
	isInterrupted              // conn has a write deadline
	isOwing                    // a PONG or PING is to go ahead of the next frame
)

// Client makes the connection c, on which the opening handshake is complete, a
// WebSocket in the client's role: what it sends is masked. A nil cfg means the
// defaults, and so does a MaxFrame below 0. The Conn owns c from here on.
func Client(c net.Conn, cfg *Config) *Conn { return newConn(c, cfg, true, "", nil) }

// Server is Client for the server's role.
func Server(c net.Conn, cfg *Config) *Conn { return newConn(c, cfg, false, "", nil) }

// newConn takes over c and the raw bytes that were read past the handshake.
func newConn(c net.Conn, cfg *Config, client bool, subprotocol string, early []byte) *Conn {
	conn := &Conn{
		conn:        c,
		sock:        sock.New(c),
		cfg:         cfg.withDefaults(),
		client:      client,
		subprotocol: subprotocol,
		born:        time.Now(),
	}
	conn.wdeadline = deadline.New(&conn.state, isWriteLimited, func() {})
	conn.closes.Add(1)
	if len(early) > 0 {
		conn.early = bytes.NewReader(early)
	}
	switch c := c.(type) {
	case *net.TCPConn, *net.UnixConn:
		conn.writev = !client
	case *tls.Conn:
		conn.sock = cork.NewWriter(c)
	}
	if conn.cfg.MaxFrame < 0 {
		conn.cfg.MaxFrame = defaultMaxFrame
	}
	conn.dec = decoder{
		state:   ws.StateServerSide,
		maxText: conn.cfg.MaxText,
		control: conn.onControl,
		text:    conn.onText,
	}
	if client {
		conn.dec.state = ws.StateClientSide
	}
	boundUnsent(c)
	conn.startBeat()
	return conn
}

// Read reads the payload of binary messages into p. It returns io.EOF once the
// peer closed with code 1000 or 1001, a *CloseError for another code,
// io.ErrUnexpectedEOF when the connection ended without a Close frame, and a
// *ProtocolError when the peer broke the rules. PINGs are answered, and
// Config.OnText called, while Read is being called.
func (c *Conn) Read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	payload, err := c.ReadBuffer(p)
	return copy(p, payload), err
}

// ReadBuffer is Read without its last copy: it uses p, and returns the part of
// p that holds the payload. It is for one caller at a time, and not beside Read.
func (c *Conn) ReadBuffer(p []byte) ([]byte, error) {
	for len(p) > 0 && c.rerr == nil && c.state.Load()&isClosed == 0 {
		if c.beat.timer != nil {
			c.beat.begin()
		}
		var n int
		var err error
		if c.early != nil {
			n = c.readEarly(p)
		} else {
			n, err = c.sock.Read(p) // perhaps for long: the stack above it is kept small
		}
		payload, done, err := c.take(p[:n], err)
		if done {
			return payload, err
		}
	}
	if err := c.closedError(); err != nil || len(p) == 0 {
		return nil, err
	}
	return nil, c.rerr
}

// take decodes raw, which was read before err. It reports done if that gives
// ReadBuffer something to return.
func (c *Conn) take(raw []byte, rerr error) (payload []byte, done bool, err error) {
	if c.beat.timer != nil {
		c.beat.reads.Add(1)
	}
	payload, err = c.dec.decode(raw)
	if err != nil || rerr != nil {
		err = c.readFailed(err, rerr)
	}
	if c.dec.idle > 0 && err == nil {
		c.payFrames()
	}
	if len(payload) > 0 {
		return payload, true, nil
	}
	return nil, err != nil, err
}

// readFailed notes an offence of the peer, or the error of the connection
// beneath. It returns the error of a Read that has passed its deadline; others
// are found in rerr.
func (c *Conn) readFailed(offence, rerr error) error {
	switch {
	case rerr == nil:
	case c.lost.Load():
		rerr = errSilent
	case errors.Is(rerr, io.EOF):
		rerr = io.ErrUnexpectedEOF
	}
	switch {
	case offence != nil:
		c.rerr = c.refuse(offence)
	case !isTimeout(rerr):
		c.rerr = rerr
	}
	if rerr != nil && isTimeout(rerr) {
		return cmp.Or(c.closedError(), rerr)
	}
	return nil
}

// readEarly reads what came with the handshake.
func (c *Conn) readEarly(p []byte) int {
	n, _ := c.early.Read(p)
	if c.early.Len() == 0 {
		c.early = nil
	}
	return n
}

// closedError returns net.ErrClosed after Close.
func (c *Conn) closedError() error {
	if c.state.Load()&isClosed != 0 {
		return net.ErrClosed
	}
	return nil
}

// HeaderSize returns how many bytes the header of a large incoming frame has,
// for a caller of ReadBuffer that wants the payload behind it to begin at the
// beginning of its next buffer.
func (c *Conn) HeaderSize() int {
	if c.client {
		return ws.MaxHeaderSize - len(ws.Header{}.Mask)
	}
	return ws.MaxHeaderSize
}

// Subprotocol returns the subprotocol that the handshake agreed on, "" if none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// Header returns the header of the 101 that opened the connection, nil if it
// was not opened by a Dialer. It is not to be changed.
func (c *Conn) Header() http.Header { return c.header }

// NetConn returns the connection beneath, for its addresses and TLS state. It
// must not be read, written or closed.
func (c *Conn) NetConn() net.Conn { return c.conn }

// LocalAddr returns the address of the connection beneath.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the address of the connection beneath.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds calls of Read, blocked ones too. After it has passed,
// Read returns an error that is os.ErrDeadlineExceeded; a later deadline makes
// it work again. A Read that a peer's flood of empty frames or texts slows down
// ends with its turn, which may be later.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.closedError(); err != nil {
		return err
	}
	return c.conn.SetReadDeadline(t)
}

// SetWriteDeadline bounds calls of Write, blocked ones too. After it has
// passed, Write returns an error that is os.ErrDeadlineExceeded; a later
// deadline makes it work again. The frame that was interrupted is finished in
// the background, and its bytes are counted as written; only where the
// connection beneath is TLS and the deadline was set while Write was blocked
// already is it lost, and with it every further Write: crypto/tls cannot
// continue a record.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closing {
		return net.ErrClosed
	}
	c.wdeadline.Set(t)
	if c.steady || !c.wtoken.Held() { // after the change of state: Write does it the other way round
		return nil
	}
	c.state.Or(isInterrupted)
	return c.conn.SetWriteDeadline(t)
}

// deadlineError is what Write returns once its deadline has passed.
func (c *Conn) deadlineError() error {
	return cmp.Or(c.closedError(), os.ErrDeadlineExceeded)
}
