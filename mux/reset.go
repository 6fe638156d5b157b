package mux

import "net"

// Reset closes a stream that a Session handed out and gives it up in both
// directions: the peer's calls fail as they do for a stream above its limit, and
// this side keeps nothing of it. Any other connection it just closes.
func Reset(c net.Conn) error {
	if st, ok := c.(*stream); ok {
		st.reset()
	}
	return c.Close()
}
