package fuzz

import (
	"encoding/binary"
	"fmt"
)

// What yamux's frames hold (docs/PROTOCOL.md).
const (
	yamuxData   = 0
	yamuxWindow = 1
	yamuxPing   = 2
	yamuxGoAway = 3

	yamuxSYN = 1
	yamuxACK = 2
	yamuxFIN = 4
	yamuxRST = 8

	yamuxInitial = 256 << 10 // window of a stream
	yamuxStreams = 5         // how many the peer may open
)

// yamuxFrame encodes a header and appends a body.
func yamuxFrame(kind byte, flags uint16, id, length uint32, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, kind}, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	return append(binary.BigEndian.AppendUint32(b, length), body...)
}

// yamuxStream is what has to become of one stream.
type yamuxStream struct {
	id       uint32
	inbound  bool
	closed   bool // by this side
	finished bool // by the peer
	reset    bool
	received uint32
	window   uint64 // how much this side may send
	data     []byte
}

// yamuxModel is what has to become of a session in which this side has opened
// two streams, the second of which it has closed, and grants no more window
// than each stream has.
type yamuxModel struct {
	mine     uint32 // parity of the streams of this side
	firstSYN bool   // the SYN for stream 1, open already, may come
	streams  map[uint32]*yamuxStream
	opened   [2]*yamuxStream
	accepted []*yamuxStream
	inbound  int
	patient  bool // this side closes a stream that was reset, before the next byte comes
	answers  []string
	end      string // "EOF", "violation" or "gave up"
}

func newYamuxModel(client, first, patient bool) *yamuxModel {
	m := &yamuxModel{streams: map[uint32]*yamuxStream{}, patient: patient}
	if client {
		m.mine = 1
	} else if first {
		m.firstSYN = true
		m.accept(1)
	}
	for i := range m.opened {
		id := uint32(2*i+2) - m.mine
		m.opened[i] = &yamuxStream{id: id, window: yamuxInitial, closed: i == 1}
		m.streams[id] = m.opened[i]
		m.answer(yamuxWindow, yamuxSYN, id, 0)
	}
	m.answer(yamuxWindow, yamuxFIN, m.opened[1].id, 0)
	return m
}

func (m *yamuxModel) answer(kind byte, flags uint16, id, length uint32) {
	m.answers = append(m.answers, fmt.Sprint(kind, flags, id, length))
}

// accept opens a stream of the peer.
func (m *yamuxModel) accept(id uint32) *yamuxStream {
	st := &yamuxStream{id: id, inbound: true, window: yamuxInitial}
	m.streams[id] = st
	m.accepted = append(m.accepted, st)
	m.inbound++
	m.answer(yamuxWindow, yamuxACK, id, 0)
	return st
}

// remove forgets a stream, which counts until this side has closed it.
func (m *yamuxModel) remove(st *yamuxStream) {
	delete(m.streams, st.id)
	if st.inbound && m.patient {
		m.inbound--
	}
}

// run takes everything that the peer sends.
func (m *yamuxModel) run(raw []byte) {
	m.end = "EOF"
	for len(raw) >= 12 && m.end == "EOF" {
		version, kind, flags := raw[0], raw[1], binary.BigEndian.Uint16(raw[2:])
		id, length := binary.BigEndian.Uint32(raw[4:]), binary.BigEndian.Uint32(raw[8:])
		raw = raw[12:]
		switch {
		case version != 0 || kind > yamuxGoAway:
			m.end = "violation"
		case kind == yamuxPing && flags&yamuxSYN != 0:
			m.answer(yamuxPing, yamuxACK, 0, length)
		case kind == yamuxPing:
		case kind == yamuxGoAway && length != 0:
			m.end = "gave up"
		case kind == yamuxGoAway:
		case kind == yamuxWindow:
			m.frame(kind, flags, id, length, nil, true)
		default:
			n := int(min(uint64(len(raw)), uint64(length)))
			m.frame(kind, flags, id, length, raw[:n], n == int(length))
			raw = raw[n:]
		}
	}
}

// frame takes a frame of a stream. whole says that all of its body has come.
func (m *yamuxModel) frame(kind byte, flags uint16, id, length uint32, body []byte, whole bool) {
	st := m.streams[id]
	switch {
	case flags&yamuxSYN == 0:
	case id == 1 && m.firstSYN:
		m.firstSYN = false
	case st != nil || id == 0 || id%2 == m.mine%2:
		m.end = "violation"
		return
	case m.inbound == yamuxStreams:
		m.answer(yamuxWindow, yamuxRST, id, 0)
		return
	default:
		st = m.accept(id)
	}
	switch {
	case st == nil:
		return
	case flags&yamuxRST != 0:
		st.reset = true
		m.remove(st)
		return
	case kind == yamuxWindow:
		if st.window += uint64(length); st.window >= 1<<32 {
			m.end = "violation"
			return
		}
	case length > 0 && !m.data(st, length, body):
		return
	}
	if flags&yamuxFIN != 0 && whole {
		st.finished = true
		if st.closed {
			m.remove(st)
		}
	}
}

// data takes the body of a data frame, and reports whether the stream goes on.
func (m *yamuxModel) data(st *yamuxStream, length uint32, body []byte) bool {
	switch {
	case length > yamuxInitial-st.received || st.finished:
		m.end = "violation"
		return false
	case st.closed:
		m.answer(yamuxWindow, yamuxRST, st.id, 0)
		st.reset = true
		m.remove(st)
		return false
	}
	st.received += length
	st.data = append(st.data, body...)
	return true
}
