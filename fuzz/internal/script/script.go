// Package script makes the input of a WebSocket of arbitrary bytes, such as a
// fuzzer's, so that nearly all of it is right, and says what has to come of it.
// It knows RFC 6455 and nothing of an implementation.
package script

import "encoding/binary"

// MaxText is the longest text message that is right, in bytes.
const MaxText = 4 << 10

// maxRaw bounds Raw, but for one frame.
const maxRaw = 16 << 10

// Ends of a Script.
const (
	Cut       = "cut"       // no Close frame has come
	EOF       = "EOF"       // a Close frame with 1000, 1001 or no code
	Closed    = "closed"    // a Close frame with another code
	Violation = "violation" // of RFC 6455, or of a rule for texts
)

// Script is what one end of a WebSocket receives, and what has to come of it.
type Script struct {
	Raw     []byte
	Payload []byte   // of the binary messages, up to the end
	Texts   []string // whole ones
	Pings   []string // payload of each PING
	End     string
	Code    uint16 // of the Close frame that answers; 1005 if it has none, 0 if there is no answer
	Size    int    // how much of Raw was needed to know the end

	masked, texts bool
	src           []byte
	open          byte   // opcode of the message that is open, 0 if none is
	text          []byte // of the text message that is open
	filled        int    // bytes of payload that were made up
}

// Opcodes of RFC 6455, Section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// New makes a Script of src. What a client sends is masked; texts says whether
// text messages are expected.
func New(src []byte, masked, texts bool) *Script {
	s := &Script{masked: masked, texts: texts, src: src, End: Cut}
	for len(s.src) > 0 && s.Code == 0 && len(s.Raw) < maxRaw {
		s.step()
	}
	s.Size = len(s.Raw)
	if s.Code != 0 { // what comes after the end is ignored
		s.Raw = append(s.Raw, s.src...)
	}
	return s
}

// take returns the next byte of the source, 0 beyond its end.
func (s *Script) take() byte {
	if len(s.src) == 0 {
		return 0
	}
	b := s.src[0]
	s.src = s.src[1:]
	return b
}

// step appends one frame. Its first byte says which, and how it is encoded.
func (s *Script) step() {
	b := s.take()
	fin := b&0x10 == 0
	wide := b >> 5 & 3 // longer encodings of the length
	switch b & 0x0f {
	case 0, 1, 2, 3, 4:
		s.data(opBinary, fin, wide, s.length(b))
	case 5, 6, 7:
		s.data(opText, fin, wide, s.length(b))
	case 8, 9:
		ping := s.fill(int(s.take()) % 126)
		s.frame(0x80|opPing, wide, ping)
		s.Pings = append(s.Pings, string(ping))
	case 10, 11:
		s.frame(0x80|opPong, wide, s.fill(int(s.take())%126))
	case 12:
		s.close(wide)
	case 13, 14:
		s.violate(s.take(), wide)
	default:
		s.short(s.take())
	}
}

// length returns how long a data frame is: short ones are the rule.
func (s *Script) length(b byte) int {
	n := int(s.take())
	if b&0x80 != 0 {
		n *= 40
	}
	return n
}

// data appends a frame of the message that is open, or the first of one.
func (s *Script) data(op byte, fin bool, wide byte, n int) {
	first := op
	if s.open != 0 {
		op, first = s.open, opContinuation
	}
	if fin {
		first |= 0x80
	}
	if op == opText {
		s.textFrame(first, fin, wide, n)
	} else {
		p := s.fill(n)
		s.frame(first, wide, p)
		s.Payload = append(s.Payload, p...)
	}
	s.open = op
	if fin {
		s.open = 0
	}
}

// textFrame appends a frame of a text message, which is UTF-8 as a whole.
func (s *Script) textFrame(first byte, fin bool, wide byte, n int) {
	const runes = "aé€😀"
	at := len(s.text)
	for i := at; i < at+n || fin && i%len(runes) > 0; i++ {
		s.text = append(s.text, runes[i%len(runes)])
	}
	s.frame(first, wide, s.text[at:])
	switch {
	case len(s.text) > MaxText:
		s.end(Violation, 1009)
	case !fin:
	case !s.texts:
		s.end(Violation, 1003)
	default:
		s.Texts = append(s.Texts, string(s.text))
		s.text = nil
	}
}

// close appends a Close frame, a right one or not.
func (s *Script) close(wide byte) {
	kind, low := s.take(), s.take()
	code := [...]uint16{1000, 1001, 1002, 3000, 4999, 1004, 1005, 1006, 1015, 999, 5000, 0}[kind%12]
	if kind >= 128 {
		code = 1000 + uint16(low)%20
	}
	body := binary.BigEndian.AppendUint16(nil, code)
	known := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code <= 4999
	body = append(body, []string{"", "bye", "\u20ac", "\xff", "\u20ac"[:2]}[low%5]...)
	switch right := low%5 < 3; {
	case kind%12 == 11 && low%2 == 0:
		body = nil
		s.end(EOF, 1005)
	case kind%12 == 11:
		body = body[:1]
		s.end(Violation, 1002)
	case !known || !right:
		s.end(Violation, 1002)
	case code == 1000 || code == 1001:
		s.end(EOF, code)
	default:
		s.end(Closed, code)
	}
	s.frame(0x80|opClose, wide, body)
}

func (s *Script) end(how string, code uint16) { s.End, s.Code = how, code }

// fill returns n bytes that no other n are like.
func (s *Script) fill(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(s.filled * 37 >> 3)
		s.filled++
	}
	return p
}
