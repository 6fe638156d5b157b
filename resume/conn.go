// Package resume makes a byte stream outlive what carries it. A Conn is a
// net.Conn whose carrier, a WebSocket for one, can be replaced: what was
// written and not acknowledged is kept, and sent again on the next carrier from
// where the peer says that it is. Nothing is lost, doubled or reordered, and
// who uses the Conn notices no more than a pause.
//
// The package knows nothing of WebSockets or HTTP. A client's Conn gets its
// carriers from a function, Dial; a server's is found again by name in
// Sessions. docs/PROTOCOL.md specifies what goes over the wire.
package resume

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"culvert/internal/bell"
	"culvert/internal/deadline"
	"culvert/internal/token"
)

// Conn is a net.Conn that outlives its carrier. All its methods may be called
// concurrently, but WriteBuffers.
type Conn struct {
	cfg  Config
	dial Dial // nil in the server's role

	cur    atomic.Pointer[Attachment] // nil while there is no carrier
	last   atomic.Pointer[Attachment] // the latest that there was, for its addresses
	closed bell.Latch                 // closed by Close
	done   bell.Latch                 // closed when nothing is left to be done
	state  atomic.Uint32              // see below

	rtoken    token.Token // the right to Read
	rdeadline *deadline.Deadline
	readable  bell.Bell     // rings after a change for Read; guarded by mu
	in        atomic.Uint64 // bytes received; belongs to the reader
	told      atomic.Uint64 // what the peer was told of them
	ackArmed  atomic.Bool   // ackTimer runs

	wtoken    token.Token // the right to Write
	wdeadline *deadline.Deadline
	room      bell.Bell // rings after an acknowledgement; guarded by mu

	mu       sync.Mutex
	out      replay
	grow     grower
	flushing bool
	inline   uint64 // number of the Write that sends by itself, 0 if none does
	writes   uint64 // how many have done so
	freed    uint64 // number of a Write that has to leave it to others

	mode   readerMode // who has rtoken
	wanted bool       // somebody wants it from who reads ahead
	ahead  []byte     // what was read before it was asked for

	prepared *Attachment
	attempts uint64
	redials  func() // ends the client's search for a carrier; nil if there is none
	renewing bool   // also if it has one

	isClosed bool  // by this side
	over     error // what ended the stream otherwise
	peerEnd  bool  // the peer has closed, after peerSent bytes
	peerSent uint64
	endAcked bool // the peer knows that this side has closed
	finished bool // the carrier is being closed, or was

	owed     owed
	texting  bool // sendTexts is running, or a text rides, or none may be sent
	rides    bool // an acknowledgement is to ride with the next small piece
	ackTimer *time.Timer

	confirmation confirmation // of the session by a server's client
	greets       bool         // a client has still to confirm it

	beat  heartbeat
	ages  ages
	cutAt time.Time // when the stream lost its carrier
	cutBy error     // and why
	noWay error     // why it got no other yet

	search search // for the next carrier

	leaving *Attachment   // that another one took over from a moment ago
	keeper  keeper        // of a server's Conn; nil if there is none
	resumed rate          // how often it was resumed lately
	limit   time.Duration // how long the keeper keeps it without a carrier; 0 is for Config.Window
	owned   sync.WaitGroup
}

// What a Conn's state holds.
const (
	isReadLimited  = 1 << iota // there is a read deadline
	isWriteLimited             // there is a write deadline
	isStopping                 // Read has to look whether it may go on
	isAhead                    // there is something in ahead
	isWaiting                  // a Write waits for acknowledgements
	isAsked                    // the peer has asked what was received, perhaps within this read
	isDoubtful                 // the next bytes show that the client has no session
)

// New returns a Conn without a carrier: the first has to come by Prepare and
// Attach. In the client's role dial gets the others; a server's Conn, whose
// dial is nil, waits for the client's.
func New(cfg *Config, dial Dial) *Conn {
	c := &Conn{
		cfg:    cfg.withDefaults(),
		dial:   dial,
		greets: dial != nil,
	}
	c.rdeadline = deadline.New(&c.state, isReadLimited, c.steer)
	c.wdeadline = deadline.New(&c.state, isWriteLimited, c.freeWriter)
	c.out.limit, c.out.base, c.out.budget = c.cfg.Buffer, c.cfg.Buffer, c.cfg.Budget
	c.grow.max = c.cfg.MaxBuffer
	c.out.use(0)
	return c
}

// Done returns a channel that is closed when the stream has ended: it was lost,
// or one side closed it and the other one knows.
func (c *Conn) Done() <-chan struct{} { return c.done.Done() }

// Err returns why the stream ended, nil while it goes on: net.ErrClosed after
// Close, a *LostError, or a *ProtocolError.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errLocked()
}

func (c *Conn) errLocked() error {
	if c.isClosed {
		return net.ErrClosed
	}
	return c.over
}

// LocalAddr returns the address of the present carrier, or of the last.
func (c *Conn) LocalAddr() net.Addr {
	if a := c.last.Load(); a != nil {
		return a.carrier.LocalAddr()
	}
	return detached{}
}

// RemoteAddr returns the address of the present carrier, or of the last.
func (c *Conn) RemoteAddr() net.Addr {
	if a := c.last.Load(); a != nil {
		return a.carrier.RemoteAddr()
	}
	return detached{}
}

// detached is the address of a Conn that never had a carrier.
type detached struct{}

func (detached) Network() string { return "resume" }
func (detached) String() string  { return "detached" }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closing() {
		return net.ErrClosed
	}
	c.rdeadline.Set(t)
	c.steer()
	return nil
}

// SetWriteDeadline implements net.Conn. What Write was given before is sent
// anyhow. A Write that the carrier holds up when the deadline passes, and that
// began before there was one, costs the carrier.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closing() {
		return net.ErrClosed
	}
	c.wdeadline.Set(t)
	return nil
}

// closing reports whether Close was called.
func (c *Conn) closing() bool { return c.closed.IsClosed() }

// own registers a goroutine that Abort waits for; mu is held.
func (c *Conn) own(f func()) {
	c.owned.Add(1)
	go func() {
		defer c.owned.Done()
		f()
	}()
}

var _ net.Conn = (*Conn)(nil)
