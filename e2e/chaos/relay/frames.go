package relay

import "encoding/binary"

// frames follows one direction of a WebSocket connection, to know where its
// frames begin: the HTTP head first, then frame after frame (RFC 6455, 5.2).
type frames struct {
	open    bool // the head is over
	started bool // at least one byte came after the head
	match   int  // how much of CR LF CR LF was seen
	hdr     [14]byte
	have    int    // bytes of hdr
	left    uint64 // bytes of the payload that are to come
}

const headEnd = "\r\n\r\n"

// feed consumes data and returns how much of it. With stop, it ends where the
// next frame begins, which is at 0 when it is there already.
func (f *frames) feed(data []byte, stop bool) (n int, atFrame bool) {
	for n < len(data) {
		switch {
		case !f.open:
			f.head(data[n])
			n++
		case f.left > 0:
			k := min(f.left, uint64(len(data)-n))
			f.left -= k
			n += int(k)
		case f.have == 0 && stop:
			return n, true
		default:
			f.started = true
			f.hdr[f.have] = data[n]
			f.have++
			n++
			if size, payload := f.header(); f.have == size {
				f.have, f.left = 0, payload
			}
		}
	}
	return n, false
}

// head consumes a byte of the HTTP head.
func (f *frames) head(b byte) {
	switch {
	case b == headEnd[f.match]:
		f.match++
	case b == headEnd[0]:
		f.match = 1
	default:
		f.match = 0
	}
	f.open = f.match == len(headEnd)
}

// header returns the size of the header of which hdr has the first bytes, and
// once it is complete that of the payload.
func (f *frames) header() (size int, payload uint64) {
	size = 2
	if f.have < size {
		return size, 0
	}
	n := f.hdr[1] & 0x7f
	switch n {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.hdr[1]&0x80 != 0 {
		size += 4
	}
	if f.have < size {
		return size, 0
	}
	switch n {
	case 126:
		return size, uint64(binary.BigEndian.Uint16(f.hdr[2:]))
	case 127:
		return size, binary.BigEndian.Uint64(f.hdr[2:])
	}
	return size, uint64(n)
}
