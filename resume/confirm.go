package resume

import "time"

// A hop may drop the field of a 101 that grants a session. The client then uses
// the carrier alone, and would not understand texts. So a server sends none
// before it had one: a client that knows of its session says so at once. One that
// does not is served as without a session.

// hearing is what a server knows of that.
type hearing int

const (
	unconfirmed hearing = iota
	confirmed           // a text came, or a request to resume
	deaf                // none came though it was due
)

// A client is deaf if something was sent to it, and of what it sends nothing is a
// text, over two rounds of confirmRound: it would have acknowledged that within
// 800 ms. One that sends nothing at all has confirmRounds of them, in which it
// would have sent a ping.
const (
	confirmRound  = 3 * time.Second
	confirmRounds = 8
)

// isMute reports whether texts have to wait; mu is held.
func (c *Conn) isMute() bool { return c.dial == nil && c.unheard != confirmed }

// confirm notes that the client knows of its session; mu is held.
func (c *Conn) confirm() {
	if c.dial == nil && c.unheard == unconfirmed {
		c.unheard = confirmed
		c.owe(func(*owed) {})
	}
}

// awaitConfirmation begins the rounds in which a client has to confirm; mu is
// held.
func (c *Conn) awaitConfirmation() {
	if c.dial == nil && c.unheard == unconfirmed {
		c.confirmBy(1, c.in.Load(), c.out.next)
	}
}

// confirmBy looks again after a round; in and out are how much was received and
// sent before it.
func (c *Conn) confirmBy(round int, in, out uint64) {
	time.AfterFunc(confirmRound, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.unheard != unconfirmed || c.finished:
		case out > 0 && c.in.Load() > in, round == confirmRounds:
			c.unheard = deaf
			c.forget()
		default:
			c.confirmBy(round+1, c.in.Load(), c.out.next)
		}
	})
}

// forget gives up what is kept to be sent again, and was sent; mu is held.
func (c *Conn) forget() {
	c.out.ack(c.out.next)
	c.room.Ring()
}
