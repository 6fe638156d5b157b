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

// WasRefused reports whether the peer has reset a stream before it sent anything
// on it, as one does that takes no more streams. For any other connection it
// reports false.
func WasRefused(c net.Conn) bool {
	st, ok := c.(*stream)
	return ok && st.state.Load()&isRefused != 0
}
