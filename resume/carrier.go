package resume

import "net"

// Carrier carries the stream for a while: ordered bytes, and beside them small
// texts, of which each arrives whole and in order with the other texts. What
// comes in on that side channel goes to Attachment.OnText. A wsconn.Conn is a
// Carrier; so is any pair of net.Conns of which one is framed for the texts.
//
// Read and Write, and WriteText, are called concurrently with each other. A
// Carrier may have the methods ReadBuffer and HeaderSize, WriteFrame,
// WriteAfterText, Abort and CloseWith of a wsconn.Conn, which save copies and
// time.
type Carrier interface {
	net.Conn
	// WriteText sends text, UTF-8 of at most 64 bytes.
	WriteText(text []byte) error
}

// framer is a Carrier that makes a frame of what is in b from front on without
// copying it: it may use frontSize bytes before that, and leave the payload
// XORed with mask, over and over from its first byte.
type framer interface {
	WriteFrame(b []byte, front int) (mask [4]byte, err error)
}

// frontSize is how much room a framer has in front of the payload.
const frontSize = 16

// joiner is a Carrier that sends a text, and what a Write of b would, at once.
type joiner interface {
	WriteAfterText(text, b []byte) (int, error)
}

// aborter is a Carrier that can be closed without a word to the peer.
type aborter interface{ Abort() }

// codeCloser is a Carrier that can tell the peer why it is closed.
type codeCloser interface {
	CloseWith(code uint16, reason string) error
}

// abort closes c at once.
func abort(c Carrier) {
	if a, ok := c.(aborter); ok {
		a.Abort()
		return
	}
	_ = c.Close()
}
