package listener

import (
	"io"

	"golang.org/x/net/http2"
)

// scanner finds the frames in what one side of HTTP/2 sends, in pieces of any
// size.
type scanner struct {
	head [frameHeader]byte
	n    int // bytes of head that there are
	left int // bytes of the payload that are to come
	skip int // bytes before the first frame
}

// next takes the first bytes of p: those of one frame, or of a part of it. whole
// reports whether the head in s.head ended with them.
func (s *scanner) next(p []byte) (n int, whole bool) {
	switch {
	case s.skip > 0:
		n = min(s.skip, len(p))
		s.skip -= n
		return n, false
	case s.left > 0:
		n = min(s.left, len(p))
		s.left -= n
		return n, false
	}
	n = copy(s.head[s.n:], p)
	if s.n += n; s.n < frameHeader {
		return n, false
	}
	s.n, s.left = 0, int(s.head[0])<<16|int(s.head[1])<<8|int(s.head[2])
	return n, true
}

// isAck reports whether the head is of an acknowledgement of SETTINGS.
func (s *scanner) isAck() bool {
	return http2.FrameType(s.head[3]) == http2.FrameSettings && http2.Flags(s.head[4]).Has(http2.FlagSettingsAck)
}

// withoutAck returns p, the next piece, without the first acknowledgement of
// SETTINGS, and reports whether that was in it. A head that is not whole comes
// with the next piece.
func (s *scanner) withoutAck(p []byte) (out []byte, found bool) {
	for len(p) > 0 {
		had := s.n
		passing := s.skip > 0 || s.left > 0
		n, whole := s.next(p)
		switch {
		case passing:
			out = append(out, p[:n]...)
		case whole && s.isAck():
			return append(out, p[n:]...), true
		case whole:
			out = append(append(out, s.head[:had]...), p[:n]...)
		}
		p = p[n:]
	}
	return out, false
}

// ackReader leaves the first acknowledgement of SETTINGS out of what it reads.
type ackReader struct {
	io.Reader

	scanner scanner
	found   bool
	ready   []byte
}

// Read implements io.Reader.
func (r *ackReader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.found {
			return r.Reader.Read(p)
		}
		buf := make([]byte, max(len(p), frameHeader))
		n, err := r.Reader.Read(buf)
		r.ready, r.found = r.scanner.withoutAck(buf[:n])
		if err != nil && len(r.ready) == 0 {
			return 0, err
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// ackWriter leaves it out of what is written.
type ackWriter struct {
	io.Writer

	scanner scanner
	found   bool
}

// Write implements io.Writer.
func (w *ackWriter) Write(p []byte) (int, error) {
	if w.found {
		return w.Writer.Write(p)
	}
	var out []byte
	out, w.found = w.scanner.withoutAck(p)
	if _, err := w.Writer.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
