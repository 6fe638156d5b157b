package listener

import (
	"encoding/binary"
	"errors"
	"fmt"
	"mime"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What of HTTP/2 a first flight has (RFC 9113, Sections 3.4, 4.1 and 6.2).
const (
	fullPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeader = 9
	maxFlight   = 64 << 10
)

// request is the first request on a connection of HTTP/2.
type request struct {
	method, path, contentType string
}

// isGRPC reports whether a grpc.Server is to serve it.
func (r *request) isGRPC() bool { return isGRPCType(r.contentType) }

// isGRPCType reports whether a media type is gRPC's.
func isGRPCType(contentType string) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	return mediaType == "application/grpc" || strings.HasPrefix(mediaType, "application/grpc+")
}

// flight reads what a client of HTTP/2 sends first. It consumes nothing: all
// that was read is in buf.
type flight struct {
	buf   []byte
	pos   int    // where the next frame begins; 0 before the preface was seen
	block []byte // field block of a head that is not whole yet
	in    bool   // such a head has begun
	dec   *hpack.Decoder
	req   *request
	alone bool // SETTINGS say that there are verifications alone
}

// settingVerify is the parameter of SETTINGS with which a client says that a
// connection is for verifications alone (docs/PROTOCOL.md). Hops do not pass it
// on: behind one, a verification shares a connection with other RPCs.
const settingVerify http2.SettingID = 0xfc75

// errNoPreface is a client of something else.
var errNoPreface = errors.New("listener: the connection begins like HTTP/2 and goes on otherwise")

// readFlight reads preface and SETTINGS from c, and the first request if it
// comes with them, as those of clients do that do not wait for the server's
// SETTINGS. head was read before.
func readFlight(c net.Conn, head []byte, timeout time.Duration) (*flight, error) {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	f := &flight{buf: append(make([]byte, 0, 1<<10), head...)}
	for {
		done, err := f.parse()
		if err != nil {
			return nil, err
		}
		if done {
			_ = c.SetReadDeadline(time.Time{})
			return f, nil
		}
		if len(f.buf) == cap(f.buf) {
			f.buf = append(make([]byte, 0, 2*cap(f.buf)), f.buf...)
		}
		n, err := c.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// parse looks at the frames that are whole. It reports true when there is the
// first request, or SETTINGS and nothing behind.
func (f *flight) parse() (done bool, err error) {
	if f.pos == 0 {
		n := min(len(f.buf), len(fullPreface))
		if string(f.buf[:n]) != fullPreface[:n] {
			return false, errNoPreface
		}
		if n < len(fullPreface) {
			return false, nil
		}
		f.pos = n
	}
	for f.req == nil && len(f.buf)-f.pos >= frameHeader {
		head := f.buf[f.pos : f.pos+frameHeader]
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		kind := http2.FrameType(head[3])
		switch {
		case f.pos == len(fullPreface) && kind != http2.FrameSettings:
			return false, errNoPreface
		case size > maxFlight:
			return true, nil // grpc says what is wrong
		case len(f.buf)-f.pos < frameHeader+size:
			return len(f.buf) > maxFlight, nil
		}
		if err := f.frame(kind, head[4], f.buf[f.pos+frameHeader:f.pos+frameHeader+size]); err != nil {
			return false, err
		}
		f.pos += frameHeader + size
	}
	settled := f.pos > len(fullPreface) && f.pos == len(f.buf) && !f.in
	return f.req != nil || settled || len(f.buf) > maxFlight, nil
}

// frame takes what a head has.
func (f *flight) frame(kind http2.FrameType, flags byte, payload []byte) error {
	switch {
	case kind == http2.FrameSettings && f.pos == len(fullPreface):
		for ; len(payload) >= 6; payload = payload[6:] {
			f.alone = f.alone || http2.SettingID(binary.BigEndian.Uint16(payload)) == settingVerify
		}
		return nil
	case kind == http2.FrameHeaders && !f.in:
		f.in = true
		payload = headBlock(flags, payload)
	case kind == http2.FrameContinuation && f.in:
	default:
		return nil
	}
	f.block = append(f.block, payload...)
	if !http2.Flags(flags).Has(http2.FlagHeadersEndHeaders) { // CONTINUATION has the same
		return nil
	}
	req := &request{}
	f.dec = hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		switch field.Name {
		case ":method":
			req.method = field.Value
		case ":path":
			req.path = field.Value
		case "content-type":
			req.contentType = field.Value
		}
	})
	f.dec.SetMaxStringLength(maxFlight)
	if _, err := f.dec.Write(f.block); err != nil {
		return fmt.Errorf("listener: the head of a request: %w", err)
	}
	f.req, f.in = req, false
	return nil
}

// headBlock returns the field block in the payload of a HEADERS frame.
func headBlock(flags byte, payload []byte) []byte {
	pad := 0
	if http2.Flags(flags).Has(http2.FlagHeadersPadded) && len(payload) > 0 {
		pad, payload = int(payload[0]), payload[1:]
	}
	if http2.Flags(flags).Has(http2.FlagHeadersPriority) {
		payload = payload[min(5, len(payload)):]
	}
	return payload[:max(0, len(payload)-pad)]
}
