package main

import "encoding/binary"

// Opcodes of RFC 6455, with FIN.
const (
	opText   = 0x81
	opBinary = 0x82
	opPing   = 0x89
	opPong   = 0x8a
)

// appendHead appends the head of a WebSocket frame as a client sends it, which
// is declared to be length long. Its mask is zero, so that the payload that
// follows is what it is.
func appendHead(b []byte, first byte, length uint64) []byte {
	const masked = 0x80
	b = append(b, first)
	switch {
	case length < 126:
		b = append(b, masked|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), length)
	}
	return append(b, 0, 0, 0, 0)
}

// appendFrame appends a WebSocket frame with payload.
func appendFrame(b []byte, first byte, payload []byte) []byte {
	return append(appendHead(b, first, uint64(len(payload))), payload...)
}

// binaryFrame returns a WebSocket frame with payload.
func binaryFrame(payload []byte) []byte { return appendFrame(nil, opBinary, payload) }

// Types and flags of yamux.
const (
	muxData   = 0
	muxWindow = 1
	muxPing   = 2

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8

	muxHeaderSize = 12
)

// appendMux appends a yamux header.
func appendMux(b []byte, kind byte, flags uint16, stream, length uint32) []byte {
	b = append(b, 0, kind)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return binary.BigEndian.AppendUint32(b, length)
}

// batch is how long WebSocket frames are that carry many small yamux frames.
const batch = 32 << 10

// repeated returns as many copies of b as fit into a batch, and how many.
func repeated(b []byte) (all []byte, n int) {
	for n = batch / len(b); len(all) < n*len(b); {
		all = append(all, b...)
	}
	return all, n
}

// clientPreface is what a client of HTTP/2 sends first, with empty SETTINGS.
func clientPreface() []byte {
	return append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0, 0, 0, 4, 0, 0, 0, 0, 0)
}
