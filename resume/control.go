package resume

// owed says which texts are to be sent.
type owed struct{ ack, end, ping, pong, drain bool }

func (o *owed) any() bool { return o.ack || o.end || o.ping || o.pong || o.drain }

// owe lets set change what is owed, and sees that it is sent: by a goroutine,
// since who provokes it, the reader, must not wait for a writer. mu is held.
func (c *Conn) owe(set func(*owed)) {
	set(&c.owed)
	if c.owed.any() && !c.texting && c.cur.Load() != nil {
		c.texting = true
		c.own(c.sendTexts)
	}
}

// sendTexts sends what is owed until nothing is, or the carrier is gone. When
// the stream has ended it closes the carrier.
func (c *Conn) sendTexts() {
	var buf [maxText]byte
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		a := c.cur.Load()
		if a == nil || !c.owed.any() {
			c.texting = c.finished // nothing follows that
			if c.finished {
				c.mu.Unlock()
				if a != nil {
					c.closeCarrier(a.carrier)
				}
				c.mu.Lock()
				c.cur.Store(nil)
				c.done.Close()
			}
			return
		}
		text := appendText(buf[:0], c.nextText(a))
		c.mu.Unlock()
		err := a.carrier.WriteText(text)
		c.mu.Lock()
		if err != nil {
			c.cut(a, err)
		}
	}
}

// rider returns the acknowledgement that is to ride with p on a, nil if there is
// none or it has to wait. If there is one, rode has to follow. mu is held.
func (c *Conn) rider(a *Attachment, p *piece) []byte {
	if c.texting || c.isHeld() || p.framed || a.joiner == nil {
		return nil
	}
	c.rides = false
	if c.told.Load() == c.in.Load() {
		return nil
	}
	c.texting = true // no other text may come in between
	c.owned.Add(1)
	c.owed.ack = false
	return appendText(nil, message{wordAck, c.acknowledge(a)})
}

// rode ends what rider began: other texts may have to follow. mu is held.
func (c *Conn) rode() {
	defer c.owned.Done()
	c.texting = c.finished || c.owed.any() && c.cur.Load() != nil
	if c.texting {
		c.own(c.sendTexts)
	}
}

// nextText takes what is owed first; mu is held.
func (c *Conn) nextText(a *Attachment) message {
	switch o := &c.owed; {
	case o.end:
		o.end = false
		return message{wordEnd, c.out.end}
	case o.ack:
		o.ack = false
		return message{wordAck, c.acknowledge(a)}
	case o.pong:
		o.pong = false
		return message{word: wordPong}
	case o.drain:
		o.drain = false
		return message{word: wordDrain}
	default:
		o.ping = false
		return message{word: wordPing}
	}
}

// acknowledge returns the offset to acknowledge: no more than the peer was told
// in a request that is under way, no more than what it has sent on a, and one
// more after its end; mu is held.
func (c *Conn) acknowledge(a *Attachment) uint64 {
	n := c.in.Load()
	if c.isHeld() {
		n = min(n, c.prepared.offset)
	}
	if a.behind.Load() {
		n = min(n, a.offset)
	}
	c.told.Store(n)
	if c.peerEnd && n == c.peerSent {
		n++
	}
	return n
}

// isHeld reports whether acknowledgements have to wait for a request that is
// under way; mu is held.
func (c *Conn) isHeld() bool { return c.prepared != nil && c.prepared.fixed }

// OnText takes a text that came on the carrier. It does not block.
func (a *Attachment) OnText(text []byte) {
	c := a.conn
	m, err := parseText(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur.Load() != a {
		return // overtaken
	}
	if err == nil {
		c.beat.heard()
		c.confirm()
		err = c.onText(m)
		if m.word == wordPing || m.word == wordPong {
			c.lookAfter(a) // now: the timer would only find out that nothing is to be done
		}
	}
	if err != nil {
		c.fail(err)
	}
}

// onText does what m asks for; mu is held.
func (c *Conn) onText(m message) error {
	switch m.word {
	case wordAck:
		return c.onAck(m.offset)
	case wordEnd:
		return c.onEnd(m.offset)
	case wordPing:
		c.setState(isAsked, true) // bytes of the same read are counted after it
		c.owe(func(o *owed) { o.pong, o.ack = true, o.ack || c.told.Load() < c.in.Load() && !c.isHeld() })
	case wordDrain:
		if c.dial == nil {
			return &ProtocolError{"a client that asks for a new carrier"}
		}
		c.onDrain()
	}
	return nil
}

func (c *Conn) onAck(n uint64) error {
	if c.isClosed && n == c.out.end+1 {
		c.endAcked = true
		n--
	}
	if n < c.out.start {
		if c.peerEnd {
			return nil // it was on its way when all was forgotten
		}
		return &ProtocolError{"an acknowledgement that goes back"}
	}
	if n > c.out.next {
		return &ProtocolError{"an acknowledgement of what was not sent"}
	}
	c.out.ack(n)
	c.grow.onAck(&c.out)
	c.room.Ring()
	if c.isOver() {
		c.finish()
	}
	return nil
}

func (c *Conn) onEnd(n uint64) error {
	if n < c.in.Load() || n > maxOffset || c.peerEnd && n != c.peerSent {
		return &ProtocolError{"an end that is not at the end"}
	}
	c.peerEnd, c.peerSent = true, n
	c.steerLocked()
	c.owe(func(o *owed) { o.ack = o.ack || n == c.in.Load() })
	c.out.discard() // nobody will read it
	c.room.Ring()
	if c.isClosed {
		c.finish()
	}
	return nil
}
