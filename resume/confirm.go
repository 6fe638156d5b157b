package resume

import "errors"

// A hop may drop the field of an answer that grants a session. Then the client
// uses the carrier as it is and takes no texts, while the server believes in the
// session. So a client that has got one says so by a text ahead of its first
// bytes (greet), and a server whose client announced that sends no text before one
// has come. If bytes come first the client has no session, and the stream ends
// with its carrier.

// confirmation says what a server knows of its client.
type confirmation uint8

const (
	isConfirmed confirmation = iota // it has the session
	isAwaited                       // nothing has come yet
	isPlain                         // it has none
)

var errUnconfirmed = errors.New("resume: the client did not learn of its session: a hop dropped a header field of the answer")

// AwaitConfirmation has the server's Conn send no text until the client has sent
// one. It is for a client whose Request has Confirm, and comes before the first
// Attach. If the client sends bytes first it knows of no session: the Conn is
// taken out of its Sessions then, keeps nothing to be sent again, and ends with
// its carrier, as that does.
func (c *Conn) AwaitConfirmation() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.confirmation = isAwaited
	c.texting = true // nobody else may send one
	c.setState(isDoubtful, true)
}

// confirm notes that the client has the session; mu is held.
func (c *Conn) confirm() {
	if c.confirmation != isAwaited || c.finished {
		return
	}
	c.unmute()
	c.confirmation = isConfirmed
	c.owe(func(o *owed) { o.ack = o.ack || c.told.Load() < c.in.Load() })
}

// unmute ends what AwaitConfirmation began; mu is held.
func (c *Conn) unmute() {
	c.setState(isDoubtful, false)
	c.texting = false
}

// deny notes that the client has no session, since bytes came first; mu is held.
func (c *Conn) deny() {
	if c.confirmation != isAwaited || c.finished {
		return
	}
	c.setState(isDoubtful, false)
	c.confirmation = isPlain
	c.owed = owed{}
	c.ackArmed.Store(true) // there is nothing to arm
	c.forget()
	if c.keeper != nil {
		c.keeper.denied()
	}
}

// forget drops what was handed to the carrier of a stream that ends with it; mu is
// held.
func (c *Conn) forget() {
	c.out.ack(c.out.next)
	c.room.Ring()
}

// greeting is what a client says ahead of its first bytes: any text would do.
const greeting = wordPong

// greet sends the greeting on a, whose first bytes are about to be sent; mu is
// held, but not meanwhile.
func (c *Conn) greet(a *Attachment) {
	c.greets = false
	if a.resumes {
		return // which confirms it
	}
	c.mu.Unlock()
	err := a.carrier.WriteText([]byte(greeting))
	c.mu.Lock()
	if err != nil {
		c.cut(a, err)
	}
}
