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

// verifyMessage is a gRPC message (a prefix of 5 bytes), a BytesValue with the
// text "verify".
const verifyMessage = "\x00\x00\x00\x00\x08\x0a\x06verify"

// The streams of a verification: one whose request stays open, since there are
// hops that hold answers back until a request ends, and one that ends at once,
// since there are hops that lose trailers.
const (
	openStream  = 1
	shortStream = 3
)

// verify proves that gRPC passes end to end on c, a connection to authority
// that speaks HTTP/2 and on which nothing was sent yet. answered is called when
// both streams had an answer, which takes one round trip. nil is the whole
// proof: a second round trip in the open request, and its trailers; or a
// grpc-status, from a server that does not know the method. Otherwise the error
// is a *signError or one of c. ctx bounds it; c is the caller's to close.
func verify(ctx context.Context, c net.Conn, scheme, authority string, answered func()) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	v := &verifying{conn: c, answered: sync.OnceFunc(answered), headed: map[uint32]bool{}}
	err := v.run(scheme, authority)
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// verifying is a verification on one connection.
type verifying struct {
	conn     net.Conn
	framer   *http2.Framer
	answered func()

	headed map[uint32]bool // streams whose answer has begun
	ended  bool            // the short stream has, in order
	data   []byte          // of messages of the open stream that are not whole yet
	echoes int             // messages that came back on it
}

// errProven ends a verification that succeeded.
var errProven = errors.New("proven")

func (v *verifying) run(scheme, authority string) error {
	if _, err := v.conn.Write(firstFlight(scheme, authority)); err != nil {
		return fmt.Errorf("verification: %w", err)
	}
	var head [frameHeader]byte
	if _, err := io.ReadFull(v.conn, head[:]); err != nil {
		return fmt.Errorf("verification: no HTTP/2 frame came: %w", err)
	}
	if sign := notSettings(head[:]); sign != nil {
		return sign
	}
	v.framer = http2.NewFramer(v.conn, io.MultiReader(bytes.NewReader(head[:]), v.conn))
	v.framer.SetMaxReadFrameSize(maxFrameSize)
	v.framer.MaxHeaderListSize = maxHeaderList
	v.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
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

// firstFlight returns all that is sent without waiting.
func firstFlight(scheme, authority string) []byte {
	var block, b bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0) // so that the block serves twice
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", scheme}, {":path", verifyMethod}, {":authority", authority},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "culvert"},
	} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // into a Buffer
	}
	b.WriteString(preface + emptySettings)
	framer := http2.NewFramer(&b, nil)
	for _, id := range []uint32{openStream, shortStream} {
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
		_ = framer.WriteData(id, id == shortStream, []byte(verifyMessage))
	}
	return b.Bytes()
}

// onFrame goes on after a frame of the server.
func (v *verifying) onFrame(f http2.Frame) error {
	switch f.Header().StreamID {
	case 0, openStream, shortStream:
	default:
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
		return resetSign("RST_STREAM", f.ErrCode)
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo || f.LastStreamID == 0 {
			return resetSign("GOAWAY", f.ErrCode)
		}
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
		return a.sign()
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
	if stream == openStream {
		v.answered() // at the latest: a server that does not know the method is one of gRPC too
		return errProven
	}
	v.ended = true
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
	if f.StreamID != openStream {
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
		return v.framer.WriteData(openStream, false, []byte(verifyMessage))
	case 2:
		return v.framer.WriteData(openStream, true, nil)
	default:
		return &signError{what: "more answers than messages"}
	}
}
