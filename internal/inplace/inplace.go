// Package inplace reads connections without a last copy where they can.
package inplace

import "io"

// Reader is a connection that reads into p and need not move what it found to
// the front, as wsconn.Conn.
type Reader interface {
	// ReadBuffer is Read into p. It returns the part of p that holds what was
	// read.
	ReadBuffer(p []byte) ([]byte, error)
	// HeaderSize returns how many bytes come before the payload of a large
	// frame.
	HeaderSize() int
}

// Of returns c if it is a Reader, and else one that reads c.
func Of(c io.Reader) Reader {
	if r, ok := c.(Reader); ok {
		return r
	}
	return plain{c}
}

// plain is a Reader of any connection.
type plain struct{ io.Reader }

func (r plain) ReadBuffer(p []byte) ([]byte, error) {
	n, err := r.Read(p)
	return p[:n], err
}

func (plain) HeaderSize() int { return 0 }
