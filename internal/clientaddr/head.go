package clientaddr

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Lengths of heads, in bytes.
const (
	maxHead1   = 107     // version 1
	minHead2   = 16      // version 2: what is before the addresses
	lengthAt   = 14      // in it
	maxPayload = 4 << 10 // version 2: addresses and more, 64 KiB by the protocol
	minRead    = 256     // room to be read into
)

// Signatures of the two versions. The first one's space must be there too.
const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// headLength returns the length of the head that begins with b, 0 if b is too
// short to tell.
func headLength(b []byte) (int, error) {
	switch {
	case begins(b, signature2):
		if len(b) < minHead2 {
			return 0, nil
		}
		n := int(binary.BigEndian.Uint16(b[lengthAt:]))
		if n > maxPayload {
			return 0, proxyproto.ErrInvalidLength
		}
		return minHead2 + n, nil
	case begins(b, signature1):
		n := bytes.IndexByte(b[:min(len(b), maxHead1)], '\n') + 1
		if n == 0 && len(b) >= maxHead1 {
			return 0, proxyproto.ErrVersion1HeaderTooLong
		}
		return n, nil
	default:
		return 0, proxyproto.ErrNoProxyProtocol
	}
}

// begins reports whether b begins with signature, as far as b goes.
func begins(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

// parseHead returns the client's address in head, nil if there is none.
func parseHead(head []byte) (net.Addr, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(head), len(head)))
	if err != nil {
		return nil, err
	}
	if h.Command.IsLocal() {
		return nil, nil
	}
	switch a := h.SourceAddr.(type) {
	case *net.TCPAddr:
		return tcpAddr(a.AddrPort()), nil
	case *net.UDPAddr: // of a client of HTTP/3
		return tcpAddr(a.AddrPort()), nil
	default: // of a client on a Unix socket
		return nil, nil
	}
}

func tcpAddr(a netip.AddrPort) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
}
