package fallback

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Limits of what a verification takes from a peer.
const (
	maxHeaderList   = 32 << 10
	maxFrameSize    = 16 << 10
	maxVerifyFrames = 100
)

// verifySettings are the SETTINGS of a verification: a parameter of culvert's own,
// from those for experiments (RFC 9113, Section 11.3). Settings do not pass hops,
// so that a server knows by it that no other RPCs share the connection.
const verifySettings = "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\xfc\x75\x00\x00\x00\x01"

// verifyMessage is a gRPC message (a prefix of 5 bytes), a BytesValue with the
// text "verify".
const verifyMessage = "\x00\x00\x00\x00\x08\x0a\x06verify"

// verify proves that gRPC passes end to end on c, a connection to authority
// that speaks HTTP/2 and on which nothing was sent yet. halfway is called when
// the stream that ends at once was answered, and answered when both streams were,
// which takes one round trip. nil is the whole
// proof: a second round trip in the open request, and its trailers; or a
// grpc-status, from a server that does not know the method. Otherwise the error
// is a *signError or one of c. ctx bounds it; c is the caller's to close.
func verify(ctx context.Context, c net.Conn, scheme, authority string, halfway, answered func()) error {
	v := newVerifying(c, scheme, authority)
	v.halfway = halfway
	return v.prove(ctx, answered)
}

// verifying makes verifications on one connection, one after the other.
type verifying struct {
	conn              net.Conn
	scheme, authority string
	framer            *http2.Framer // nil before the first one

	// The streams of a verification: one whose request stays open, since there
	// are hops that hold answers back until a request ends, and one that ends at
	// once, since there are hops that lose trailers.
	openStream, shortStream uint32

	answered func()
	halfway  func()          // gRPC has answered the short stream; may be nil
	headed   map[uint32]bool // streams whose answer has begun
	ended    bool            // the short stream has, in order, or was refused
	refused  bool            // the open stream was
	data     []byte          // of messages of the open stream that are not whole yet
	echoes   int             // messages that came back on it
}

// errProven ends a verification that succeeded.
var errProven = errors.New("proven")

func newVerifying(c net.Conn, scheme, authority string) *verifying {
	return &verifying{conn: c, scheme: scheme, authority: authority, openStream: 1, shortStream: 3}
}

// prove makes one verification.
func (v *verifying) prove(ctx context.Context, answered func()) error {
	v.answered, v.headed = sync.OnceFunc(answered), map[uint32]bool{}
	v.ended, v.refused, v.data, v.echoes = false, false, nil, 0
	stop := context.AfterFunc(ctx, func() { _ = v.conn.SetDeadline(time.Unix(1, 0)) })
	err := v.run()
	v.openStream, v.shortStream = v.openStream+4, v.shortStream+4
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// rest leaves the connection idle for a time, in which it must not end. It
// answers PINGs and SETTINGS.
func (v *verifying) rest(ctx context.Context, idle time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = v.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		f, err := v.framer.ReadFrame()
		switch {
		case ctx.Err() != nil && isTimeout(err):
			if stop() || context.Cause(ctx) != context.DeadlineExceeded { //nolint:errorlint // the cause itself
				return context.Cause(ctx)
			}
			return v.conn.SetReadDeadline(time.Time{})
		case err != nil:
			return fmt.Errorf("the connection ended while it was idle: %w", err)
		}
		if _, leaving := f.(*http2.GoAwayFrame); leaving {
			return errors.New("the connection ended while it was idle: GOAWAY")
		}
		if err := v.onFrame(f); err != nil {
			return err
		}
	}
}

// start sends the first flight of a verification, and with the first one reads
// the first frame.
func (v *verifying) start() error {
	first := v.framer == nil
	if _, err := v.conn.Write(v.flight(first)); err != nil || !first {
		return err
	}
	var head [frameHeader]byte
	if _, err := io.ReadFull(v.conn, head[:]); err != nil {
		return fmt.Errorf("no HTTP/2 frame came: %w", err)
	}
	if sign := notSettings(head[:]); sign != nil {
		return sign
	}
	v.framer = http2.NewFramer(v.conn, io.MultiReader(bytes.NewReader(head[:]), v.conn))
	v.framer.SetMaxReadFrameSize(maxFrameSize)
	v.framer.MaxHeaderListSize = maxHeaderList
	v.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return nil
}

func (v *verifying) run() error {
	if err := v.start(); err != nil {
		return fmt.Errorf("verification: %w", err)
	}
	for range maxVerifyFrames {
		f, err := v.framer.ReadFrame()
		if err == nil {
			err = v.onFrame(f)
		}
		switch {
		case errors.Is(err, errProven):
			return nil
		case err != nil:
			return fmt.Errorf("verification: %w", err)
		}
	}
	return &signError{what: "a peer that sends frames and no answer"}
}

// flight returns all that is sent without waiting; the first one begins with the
// preface.
func (v *verifying) flight(first bool) []byte {
	var block, b bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0) // so that the block serves twice
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", v.scheme}, {":path", verifyMethod}, {":authority", v.authority},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "culvert"},
	} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // into a Buffer
	}
	if first {
		b.WriteString(preface + verifySettings)
	}
	framer := http2.NewFramer(&b, nil)
	for _, id := range []uint32{v.openStream, v.shortStream} {
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = framer.WriteData(id, id == v.shortStream, []byte(verifyMessage))
	}
	return b.Bytes()
}

// onFrame goes on after a frame of the server.
func (v *verifying) onFrame(f http2.Frame) error {
	switch f.Header().StreamID {
	case 0, v.openStream, v.shortStream:
	default:
		if id := f.Header().StreamID; id < v.openStream {
			return nil // of the verification before
		}
		return &signError{what: fmt.Sprintf("a frame of stream %d, which was not opened", f.Header().StreamID)}
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return v.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return v.framer.WritePing(true, f.Data)
		}
	case *http2.MetaHeadersFrame:
		return v.onHeaders(f)
	case *http2.DataFrame:
		return v.onData(f)
	case *http2.RSTStreamFrame:
		return v.onReset(f)
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo || f.LastStreamID == 0 {
			return resetSign("GOAWAY", f.ErrCode)
		}
	}
	return nil
}

// onReset goes on after one of the streams was reset. A server that takes one
// stream at a time refuses the other.
func (v *verifying) onReset(f *http2.RSTStreamFrame) error {
	if f.ErrCode != http2.ErrCodeRefusedStream {
		return resetSign("RST_STREAM", f.ErrCode)
	}
	if f.StreamID == v.shortStream {
		v.ended = true
		if v.echoes > 0 {
			v.answered()
		}
	} else {
		v.refused = true
	}
	if v.refused && v.ended && v.echoes == 0 {
		return &signError{class: unknown, what: "the server refused a stream (REFUSED_STREAM)"}
	}
	return nil
}

// resetSign is a frame that ends a stream or the connection.
func resetSign(frame string, code http2.ErrCode) *signError {
	s := &signError{class: ambiguous, what: fmt.Sprintf("a hop sent %s with %v", frame, code)}
	if code == http2.ErrCodeHTTP11Required {
		s.class = definite
	}
	return s
}

func (v *verifying) onHeaders(f *http2.MetaHeadersFrame) error {
	var a answer
	for _, field := range f.Fields {
		a.add(field)
	}
	switch {
	case f.Truncated:
		return &signError{what: "an answer with too large a head"}
	case v.headed[f.StreamID]: // trailers
	case a.interim():
		return nil
	case !a.isGRPC():
		return a.verificationSign()
	case !f.StreamEnded():
		v.headed[f.StreamID] = true
		return nil
	}
	if a.grpcStatus == "" {
		return lostTrailers()
	}
	return v.onStatus(f.StreamID)
}

// onStatus goes on after an answer has come to its end.
func (v *verifying) onStatus(stream uint32) error {
	if stream == v.openStream {
		v.answered() // at the latest: a server that does not know the method is one of gRPC too
		return errProven
	}
	v.ended = true
	if v.halfway != nil {
		v.halfway()
	}
	if v.refused {
		v.answered()
		return errProven
	}
	if v.echoes > 0 {
		v.answered()
	}
	return nil
}

// onData counts the messages that come back, and sends the next.
func (v *verifying) onData(f *http2.DataFrame) error {
	if f.StreamEnded() {
		return lostTrailers()
	}
	if f.StreamID != v.openStream {
		return nil
	}
	v.data = append(v.data, f.Data()...)
	for len(v.data) >= 5 {
		n := 5 + uint64(binary.BigEndian.Uint32(v.data[1:]))
		if n > maxFrameSize {
			return &signError{what: "an answer that is not an echo"}
		}
		if uint64(len(v.data)) < n {
			return nil
		}
		v.data = v.data[n:]
		if err := v.onEcho(); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifying) onEcho() error {
	switch v.echoes++; v.echoes {
	case 1:
		if v.ended {
			v.answered()
		}
		return v.framer.WriteData(v.openStream, false, []byte(verifyMessage))
	case 2:
		return v.framer.WriteData(v.openStream, true, nil)
	default:
		return &signError{what: "more answers than messages"}
	}
}
