package listener

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Limits of a connection that begins with a verification.
const (
	verifyFrames = 200             // that it may send in all
	verifyLife   = 5 * time.Minute // a client's probe leaves it idle for a minute
	verifyOpen   = 8               // streams that are open at a time
	verifyFrame  = 16 << 10
)

// answerVerification answers the verifications on c, which began with f, until
// it ends. The grpc.Server, with its interceptors, stats handlers and channelz,
// does not see them.
func (l *Listener) answerVerification(c net.Conn, f *flight) { (&verifier{}).serve(c, replay(c, f)) }

// replay returns what comes on c, which began with f, after the preface.
func replay(c net.Conn, f *flight) io.Reader {
	return io.MultiReader(bytes.NewReader(f.buf[len(fullPreface):]), c)
}

// refuseNative answers all RPCs on c, which began with f, with the status that err
// picks, until it ends.
func refuseNative(c net.Conn, f *flight, err error) {
	v := &verifier{code: "7", message: err.Error()} // PERMISSION_DENIED
	var refused *RefusedError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized {
		v.code = "16" // UNAUTHENTICATED
	}
	v.serve(c, replay(c, f))
}

// serve serves c, whose frames r reads, until it ends.
func (v *verifier) serve(c net.Conn, r io.Reader) {
	defer c.Close()
	v.conn, v.streams = c, map[uint32]*verified{}
	_ = c.SetDeadline(time.Now().Add(verifyLife))
	v.framer = http2.NewFramer(&v.out, r)
	v.framer.SetMaxReadFrameSize(verifyFrame)
	v.framer.MaxHeaderListSize = verifyFrame
	v.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	v.enc = hpack.NewEncoder(&v.block)
	_ = v.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: verifyOpen})
	for range verifyFrames {
		if v.flush() != nil {
			return
		}
		frame, err := v.framer.ReadFrame()
		if err != nil || !v.on(frame) {
			break
		}
	}
	_ = v.framer.WriteGoAway(v.last, http2.ErrCodeNo, nil)
	_ = v.flush()
}

// verifier is a server of verifications alone, or of refusals.
type verifier struct {
	code, message string // of refusals; "" if it verifies

	conn    net.Conn
	framer  *http2.Framer
	out     bytes.Buffer // that the framer writes
	block   bytes.Buffer
	enc     *hpack.Encoder
	streams map[uint32]*verified
	last    uint32
}

// verified is one stream.
type verified struct {
	data     []byte // of a message that is not whole
	messages int
}

func (v *verifier) flush() error {
	if v.out.Len() == 0 {
		return nil
	}
	_, err := v.conn.Write(v.out.Bytes())
	v.out.Reset()
	return err
}

// on takes a frame, and reports whether the connection goes on. Errors of the
// framer are none: it writes into memory.
func (v *verifier) on(f http2.Frame) bool {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = v.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = v.framer.WritePing(true, f.Data)
		}
	case *http2.MetaHeadersFrame:
		v.onHeaders(f)
	case *http2.DataFrame:
		v.onData(f)
	case *http2.RSTStreamFrame:
		delete(v.streams, f.StreamID)
	case *http2.GoAwayFrame:
		return false
	}
	return true
}

func (v *verifier) onHeaders(f *http2.MetaHeadersFrame) {
	id := f.StreamID
	v.last = max(v.last, id)
	path := f.PseudoValue("path")
	switch {
	case v.code != "":
		v.head(id, true, v.code, v.message)
		if !f.StreamEnded() {
			_ = v.framer.WriteRSTStream(id, http2.ErrCodeNo) // the rest of the request is of no use
		}
	case len(v.streams) >= verifyOpen:
		_ = v.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	case path != verifyMethod:
		v.head(id, true, "12", "only verifications are answered on this connection")
	case f.StreamEnded():
		v.head(id, true, "0", "")
	default:
		v.streams[id] = &verified{}
		v.head(id, false, "", "")
	}
}

// head writes the head of an answer, with the status if that is all of it.
func (v *verifier) head(id uint32, all bool, status, message string) {
	v.block.Reset()
	v.field(":status", "200")
	v.field("content-type", "application/grpc")
	if all {
		v.status(status, message)
	}
	_ = v.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: v.block.Bytes(), EndHeaders: true, EndStream: all})
}

// end writes the trailers of an answer.
func (v *verifier) end(id uint32, status, message string) {
	delete(v.streams, id)
	v.block.Reset()
	v.status(status, message)
	_ = v.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: v.block.Bytes(), EndHeaders: true, EndStream: true})
}

func (v *verifier) status(status, message string) {
	v.field("grpc-status", status)
	if message != "" {
		v.field("grpc-message", escape(message))
	}
}

// escape makes a message what a field may have (gRPC over HTTP/2, Responses).
func escape(message string) string {
	var b strings.Builder
	for i := range len(message) {
		if c := message[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (v *verifier) field(name, value string) {
	_ = v.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
}

// onData sends each whole message back.
func (v *verifier) onData(f *http2.DataFrame) {
	s := v.streams[f.StreamID]
	if s == nil {
		return
	}
	s.data = append(s.data, f.Data()...)
	for len(s.data) >= 5 {
		size := uint64(binary.BigEndian.Uint32(s.data[1:]))
		if size > verifySize+16 {
			v.end(f.StreamID, "8", "a message of a verification is too large")
			return
		}
		if uint64(len(s.data)) < 5+size {
			break
		}
		if s.messages++; s.messages > verifyMessages {
			v.end(f.StreamID, "8", "a verification has too many messages")
			return
		}
		_ = v.framer.WriteData(f.StreamID, false, s.data[:5+size])
		s.data = s.data[5+size:]
	}
	if f.StreamEnded() {
		v.end(f.StreamID, "0", "")
	}
}
