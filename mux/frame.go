package mux

import "encoding/binary"

// The wire format is yamux, version 0: a header of twelve bytes, big-endian,
//
//	version (1) | type (1) | flags (2) | stream (4) | length (4)
//
// and for a data frame as many bytes as length says. The specification is
// spec.md of github.com/hashicorp/yamux.
const (
	headerSize = 12

	typeData   = 0 // length: of the body that follows
	typeWindow = 1 // length: how much more may be sent
	typePing   = 2 // length: an opaque value that the answer repeats
	typeGoAway = 3 // length: why

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8

	goAwayNormal   = 0
	goAwayProtocol = 1

	// initialWindow is how much of a stream may be sent before the first
	// window update.
	initialWindow = 256 << 10
)

// header is a decoded frame header.
type header struct {
	kind   byte
	flags  uint16
	stream uint32
	length uint32
}

// append appends the encoded h to b.
func (h header) append(b []byte) []byte {
	b = append(b, 0, h.kind)
	b = binary.BigEndian.AppendUint16(b, h.flags)
	b = binary.BigEndian.AppendUint32(b, h.stream)
	return binary.BigEndian.AppendUint32(b, h.length)
}

// parseHeader decodes b, which has headerSize bytes.
func parseHeader(b []byte) (h header, err error) {
	h = header{
		kind:   b[1],
		flags:  binary.BigEndian.Uint16(b[2:]),
		stream: binary.BigEndian.Uint32(b[4:]),
		length: binary.BigEndian.Uint32(b[8:]),
	}
	switch {
	case b[0] != 0:
		return h, protocolError("version is not 0")
	case h.kind > typeGoAway:
		return h, protocolError("unknown frame type")
	}
	return h, nil
}

// protocolError says how the peer broke the protocol.
type protocolError string

func (e protocolError) Error() string { return "mux: the peer violated the protocol: " + string(e) }
