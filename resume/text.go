package resume

import (
	"bytes"
	"strconv"
)

// Words of the texts (docs/PROTOCOL.md).
const (
	wordAck   = "ack"   // offset: so many bytes have come
	wordEnd   = "end"   // offset: so many bytes were sent in all, and none will be read
	wordPing  = "ping"  // asks for a sign of life
	wordPong  = "pong"  // is one
	wordDrain = "drain" // asks the client for a new carrier, soon
)

// maxText bounds a text: the longest word, a space and 20 digits fit.
const maxText = 32

// message is one text.
type message struct {
	word   string
	offset uint64 // of ack and end
}

// appendText appends m as it is on the wire to b.
func appendText(b []byte, m message) []byte {
	b = append(b, m.word...)
	if m.word == wordAck || m.word == wordEnd {
		b = strconv.AppendUint(append(b, ' '), m.offset, 10)
	}
	return b
}

// parseText parses a text. It takes exactly what appendText makes.
func parseText(text []byte) (message, error) {
	if len(text) > maxText {
		return message{}, &ProtocolError{"a control text of " + strconv.Itoa(len(text)) + " bytes"}
	}
	word, digits, has := bytes.Cut(text, []byte{' '})
	m := message{word: string(word)}
	switch m.word {
	case wordAck, wordEnd:
		offset, ok := parseOffset(string(digits))
		if !ok {
			break
		}
		m.offset = offset
		return m, nil
	case wordPing, wordPong, wordDrain:
		if !has {
			return m, nil
		}
	}
	return message{}, &ProtocolError{"a control text that is none: " + strconv.Quote(string(text))}
}

// maxOffset is the largest offset; one more, past an end, can be counted too.
const maxOffset = 1<<63 - 2

// parseOffset parses a decimal number without sign or leading zeros.
func parseOffset(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil && s == strconv.FormatUint(n, 10)
}
