package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// muxInitialWindow is what each stream of yamux may be sent from the start.
const muxInitialWindow = 256 << 10

// windows opens n streams and returns how much the server lets its client send
// on each of them, in order. A server says the same on every new tunnel, so an
// attacker who does not read knows it from another one.
func (t *target) windows(ctx context.Context, n int) ([]int, error) {
	s, ok := t.open(ctx, 0, hostile)
	if !ok {
		return nil, errors.New("no tunnel")
	}
	defer func() { _ = s.Close() }()
	_ = s.SetDeadline(time.Now().Add(dialTimeout))
	var syns []byte
	sizes := make([]int, n)
	for i := range n {
		syns = appendMux(syns, muxWindow, flagSYN, uint32(2*i+1), 0)
		sizes[i] = muxInitialWindow
	}
	if _, err := s.Write(binaryFrame(syns)); err != nil {
		return nil, err
	}
	for missing := n; missing > 0; {
		kind, flags, stream, length, err := s.muxHeader()
		if err != nil {
			return nil, err
		}
		if i := int(stream-1) / 2; kind == muxWindow && flags&flagACK != 0 && i < n {
			sizes[i] += int(length)
			missing--
		}
	}
	return sizes, nil
}

// muxHeader reads the next header of yamux, and the body that follows it.
func (s *socket) muxHeader() (kind byte, flags uint16, stream, length uint32, err error) {
	var b [muxHeaderSize]byte
	if err = s.payload(b[:]); err != nil {
		return
	}
	kind, flags = b[1], binary.BigEndian.Uint16(b[2:])
	stream, length = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	if kind == muxData {
		err = s.payload(make([]byte, length))
	}
	return
}

// payload reads what is in binary messages. Other frames are dropped.
func (s *socket) payload(p []byte) error {
	for len(p) > 0 {
		if s.left == 0 {
			first, n, err := s.frameHead()
			if err != nil {
				return err
			}
			if first&^0x80 == opBinary&^0x80 || first&^0x80 == 0 {
				s.left = n
			} else if _, err := io.CopyN(io.Discard, s.in, n); err != nil {
				return err
			}
			continue
		}
		n, err := s.in.Read(p[:min(int64(len(p)), s.left)])
		if err != nil {
			return err
		}
		p, s.left = p[n:], s.left-int64(n)
	}
	return nil
}

// frameHead reads the head of a frame that a server sent.
func (s *socket) frameHead() (first byte, length int64, err error) {
	var b [8]byte
	if _, err = io.ReadFull(s.in, b[:2]); err != nil {
		return 0, 0, err
	}
	first = b[0]
	switch n := b[1]; n {
	case 126:
		_, err = io.ReadFull(s.in, b[:2])
		return first, int64(binary.BigEndian.Uint16(b[:])), err
	case 127:
		_, err = io.ReadFull(s.in, b[:])
		return first, int64(binary.BigEndian.Uint64(b[:])), err
	default:
		return first, int64(n), nil
	}
}
