package script

import "encoding/binary"

// frame appends a frame with the given first byte.
func (s *Script) frame(first, wide byte, payload []byte) {
	s.header(first, wide, uint64(len(payload)), s.masked, payload)
}

// header appends a frame that claims to have length bytes. wide makes the
// length take more room than it needs: not right of a sender, and understood by
// every receiver.
func (s *Script) header(first, wide byte, length uint64, masked bool, payload []byte) {
	var bit byte
	if masked {
		bit = 0x80
	}
	s.Raw = append(s.Raw, first)
	switch {
	case wide > 1 && wide == 3 || length > 0xffff:
		s.Raw = binary.BigEndian.AppendUint64(append(s.Raw, bit|127), length)
	case wide > 1 || length > 125:
		s.Raw = binary.BigEndian.AppendUint16(append(s.Raw, bit|126), uint16(length))
	default:
		s.Raw = append(s.Raw, bit|byte(length))
	}
	if !masked {
		s.Raw = append(s.Raw, payload...)
		return
	}
	b := s.take()
	mask := [4]byte{b, b * 3, b ^ 0x55, ^b}
	s.Raw = append(s.Raw, mask[:]...)
	for i, c := range payload {
		s.Raw = append(s.Raw, c^mask[i%4])
	}
}

// violate appends a frame that breaks RFC 6455, and is its end.
func (s *Script) violate(kind, wide byte) {
	code := uint16(1002)
	first := byte(0x80 | opBinary)
	if s.open != 0 {
		first = 0x80 | opContinuation
	}
	p := s.fill(int(kind >> 4))
	switch kind % 12 {
	case 0, 1, 2:
		s.frame(first|0x10<<(kind%12), wide, p) // a reserved bit
	case 3:
		s.frame(0x80|3+kind>>4%5, wide, p) // a reserved opcode
	case 4:
		s.frame(0x80|11+kind>>4%5, wide, p)
	case 5:
		s.header(first, wide, uint64(len(p)), !s.masked, p) // masked or not
	case 6:
		s.frame(opClose+kind>>4%3, wide, p) // a control frame in fragments
	case 7:
		s.frame(0x80|opClose+kind>>4%3, wide, s.fill(126)) // a long one
	case 8:
		if s.open != 0 {
			first = 0x80 | opBinary - kind>>4%2 // a message in a message
		} else {
			first = 0x80 * (kind >> 4 % 2) // a continuation of nothing
		}
		s.frame(first, wide, p)
	case 9:
		s.header(first, 3, 1<<63|uint64(kind), s.masked, p)
	case 10, 11:
		code = s.garble(wide)
	}
	s.end(Violation, code)
}

// garble ends a text message with what is not UTF-8, and returns the close code
// for it.
func (s *Script) garble(wide byte) uint16 {
	if s.open == opBinary {
		s.frame(0x80|opText, wide, nil)
		return 1002
	}
	first := byte(0x80 | opText)
	if s.open != 0 {
		first = 0x80 | opContinuation
	}
	s.frame(first, wide, []byte{0xff})
	if len(s.text)+1 > MaxText {
		return 1009
	}
	return 1007
}

// short appends a frame of which not all comes.
func (s *Script) short(kind byte) {
	defer func() { s.src = nil }()
	p := s.fill(int(kind >> 4))
	huge := []uint64{1, 200, 1 << 16, 1<<63 - 1}[kind%4]
	if kind&4 != 0 { // a header of which not all comes
		s.header(0x80|opPing, 3, 5, s.masked, nil)
		s.Raw = s.Raw[:len(s.Raw)-1-int(kind>>4)%(len(s.Raw))%9]
		return
	}
	first := byte(0x80 | opBinary)
	if s.open != 0 {
		first = 0x80 | opContinuation
	}
	if s.open == opText {
		p = nil
	} else {
		s.Payload = append(s.Payload, p...)
	}
	s.header(first, 0, max(huge, uint64(len(p))+1), s.masked, p)
}
