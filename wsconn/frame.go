package wsconn

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// decoder turns the raw bytes of one direction of a WebSocket into the payload
// of its binary messages. It does no I/O and never allocates by a length that
// the peer declared.
type decoder struct {
	state   ws.State // role, and whether a fragmented message is open
	maxText int
	control func(op ws.OpCode, payload []byte) error
	text    func(payload []byte) error

	head    [ws.MaxHeaderSize]byte // a header of which not all has come yet
	headLen int

	inFrame bool      // a header was read and its frame has not ended
	carried bool      // the last data frame had a payload, and its message goes on
	idle    int32     // what the data frames since the last decode cost
	frame   ws.Header // of that frame; Length counts what is still to come
	pos     int       // bytes of that frame already unmasked, modulo 4
	message ws.OpCode // of the message that data frames belong to

	ctl     []byte // of ws.MaxControlFramePayloadSize once it is needed
	ctlLen  int
	textBuf []byte
	short   [shortText]byte // what textBuf is while the text is short
}

// What a data frame costs whose header is most of it. A message of many frames may
// end with an empty one, as some libraries send it; that counts as tiny.
const (
	tinyFrame = 12 // bytes of payload from which a frame costs nothing
	costTiny  = 1
	costEmpty = 100
)

// shortText is how long a text is that costs no memory of its own, such as
// resume's acknowledgements. With 24 bytes a Conn takes no more than 704.
const shortText = 24

// decode consumes raw and returns the binary payload in it, unmasked, as a part
// of raw: the first piece stays where it is, and what follows later in raw is
// moved up to it. Control frames and text messages go to their callbacks in
// order. After an error the decoder must not be used again; the payload that
// preceded the offence is valid.
func (d *decoder) decode(raw []byte) (payload []byte, err error) {
	if payload = d.decodeShort(raw); payload != nil {
		return payload, nil
	}
	for r := 0; r < len(raw); {
		if !d.inFrame {
			used, err := d.readHeader(raw[r:])
			if r += used; err != nil {
				return payload, err
			}
			if d.inFrame && d.frame.Length == 0 {
				if err := d.endFrame(); err != nil {
					return payload, err
				}
			}
			continue
		}
		chunk := raw[r:]
		if int64(len(chunk)) > d.frame.Length {
			chunk = chunk[:d.frame.Length]
		}
		d.unmask(chunk)
		r += len(chunk)
		if d.frame.OpCode.IsData() && d.message == ws.OpBinary {
			payload = appendInPlace(payload, chunk)
			d.inFrame = d.frame.Length > 0
			continue
		}
		if err := d.putAside(chunk); err != nil {
			return payload, err
		}
		if d.frame.Length == 0 {
			if err := d.endFrame(); err != nil {
				return payload, err
			}
		}
	}
	return payload, nil
}

// finBinary is the first byte of a whole binary message.
const finBinary = 0x80 | byte(ws.OpBinary)

// decodeShort is decode for what is most often read, one whole binary message of
// 12 to 125 bytes. It returns nil for anything else, and has done nothing then.
func (d *decoder) decodeShort(raw []byte) []byte {
	if len(raw) <= 2 || raw[0] != finBinary || d.inFrame || d.headLen > 0 || d.state.Fragmented() {
		return nil
	}
	masked, n, payload := raw[1]&0x80 != 0, int(raw[1]&0x7f), raw[2:]
	if masked != d.state.ServerSide() || n < tinyFrame || n > 125 {
		return nil
	}
	if !masked {
		if n != len(payload) {
			return nil
		}
		return payload
	}
	if n+4 != len(payload) {
		return nil
	}
	mask := [4]byte(payload)
	payload = payload[4:]
	xor(payload, mask, 0)
	return payload
}

// appendInPlace appends chunk to payload, both parts of one array with chunk
// behind payload.
func appendInPlace(payload, chunk []byte) []byte {
	if len(payload) == 0 {
		return chunk
	}
	return append(payload, chunk...)
}

// unmask takes chunk off the current frame.
func (d *decoder) unmask(chunk []byte) {
	if d.frame.Masked {
		xor(chunk, d.frame.Mask, d.pos)
		d.pos = (d.pos + len(chunk)) & 3
	}
	d.frame.Length -= int64(len(chunk))
}

// putAside keeps a piece of a control frame or a text message.
func (d *decoder) putAside(chunk []byte) error {
	if d.frame.OpCode.IsControl() {
		if d.ctl == nil {
			d.ctl = make([]byte, ws.MaxControlFramePayloadSize)
		}
		d.ctlLen += copy(d.ctl[d.ctlLen:], chunk)
		return nil
	}
	if len(d.textBuf)+len(chunk) > d.maxText {
		return &ProtocolError{CloseMessageTooBig, "text message too long"}
	}
	if d.textBuf == nil {
		d.textBuf = d.short[:0]
	}
	d.textBuf = append(d.textBuf, chunk...)
	return nil
}

// endFrame hands over what the frame completed.
func (d *decoder) endFrame() error {
	d.inFrame = false
	if d.frame.OpCode.IsControl() {
		payload := d.ctl[:d.ctlLen]
		d.ctlLen = 0
		return d.control(d.frame.OpCode, payload)
	}
	if !d.frame.Fin || d.message != ws.OpText {
		return nil
	}
	text := d.textBuf
	d.textBuf = nil
	if !utf8.Valid(text) {
		return &ProtocolError{CloseInvalidPayload, "text message is not UTF-8"}
	}
	return d.text(text)
}

// readHeader takes a frame header from b, which may end before the header does,
// and returns how much of b belongs to it. It sets inFrame once the header is
// whole.
func (d *decoder) readHeader(b []byte) (used int, err error) {
	head := b
	if used = headerSize(b); d.headLen > 0 || used > len(b) {
		var whole bool
		if used, whole = d.gatherHeader(b); !whole {
			return used, nil
		}
		head, d.headLen = d.head[:], 0
	}
	h, err := parseHeader(head)
	if err != nil {
		return used, err
	}
	return used, d.startFrame(h)
}

// gatherHeader moves what b has of a header to head.
func (d *decoder) gatherHeader(b []byte) (used int, whole bool) {
	for {
		want := headerSize(d.head[:d.headLen])
		if d.headLen == want {
			return used, true
		}
		if used == len(b) {
			return used, false
		}
		m := copy(d.head[d.headLen:want], b[used:])
		d.headLen += m
		used += m
	}
}

// startFrame checks h against the state of the connection.
func (d *decoder) startFrame(h ws.Header) error {
	if err := ws.CheckHeader(h, d.state); err != nil {
		return &ProtocolError{CloseProtocolError, err.Error()}
	}
	if h.OpCode.IsData() {
		d.charge(h)
		if h.OpCode != ws.OpContinuation {
			d.message = h.OpCode
		}
		if h.Fin {
			d.state = d.state.Clear(ws.StateFragmented)
		} else {
			d.state = d.state.Set(ws.StateFragmented)
		}
	}
	d.frame, d.pos, d.inFrame = h, 0, true
	return nil
}

// charge counts a data frame that brings next to nothing.
func (d *decoder) charge(h ws.Header) {
	switch ends := d.carried && h.Fin; {
	case h.Length >= tinyFrame || d.idle > 1<<30:
	case h.Length > 0 || ends:
		d.idle += costTiny
	default:
		d.idle += costEmpty
	}
	d.carried = h.Length > 0 && !h.Fin
}

// headerSize returns how long the header that begins with b is, as far as b
// tells: the first two bytes hold its size (RFC 6455, Section 5.2).
func headerSize(b []byte) int {
	if len(b) < 2 {
		return 2
	}
	n := 2
	switch b[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// parseHeader decodes the header that b begins with.
func parseHeader(b []byte) (h ws.Header, err error) {
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0x0f)
	h.Masked = b[1]&0x80 != 0
	h.Length = int64(b[1] & 0x7f)
	b = b[2:]
	switch h.Length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(b))
		b = b[2:]
	case 127:
		if b[0]&0x80 != 0 {
			return h, &ProtocolError{CloseProtocolError, "frame length of 2^63 or more"}
		}
		h.Length = int64(binary.BigEndian.Uint64(b))
		b = b[8:]
	}
	if h.Masked {
		copy(h.Mask[:], b)
	}
	return h, nil
}

// appendHeader appends the header of an unfragmented frame to b.
func appendHeader(b []byte, op ws.OpCode, length int, masked bool, mask [4]byte) []byte {
	b = append(b, 0x80|byte(op))
	var m byte
	if masked {
		m = 0x80
	}
	switch {
	case length < 126:
		b = append(b, m|byte(length))
	case length <= 0xffff:
		b = append(b, m|126)
		b = binary.BigEndian.AppendUint16(b, uint16(length))
	default:
		b = append(b, m|127)
		b = binary.BigEndian.AppendUint64(b, uint64(length))
	}
	if masked {
		b = append(b, mask[:]...)
	}
	return b
}
