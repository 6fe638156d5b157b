package fallback

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What of HTTP/2 watch needs (RFC 9113, Section 6).
const (
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// watchedBytes is how much of the first answer is looked at for its trailers.
const watchedBytes = 64 << 10

// hears is told what watch sees of RPCs.
type hears struct {
	answered func()      // gRPC has answered
	refused  func(error) // at most once: a *signError that shows that gRPC does not pass
	retry    func() bool // whether an RPC that no handler saw may find another way; nil means yes
}

// watch returns c, on which gRPC is the client, looking at the server's frames
// until the first answer of gRPC; soon afterwards nothing but a flag stands
// between. The acknowledgement of the SETTINGS that greet sent is kept back:
// the client, which knows nothing of them, expects one for its own alone.
//
// If there may be another way, an answer that shows that the request reached no handler is preceded by
// RST_STREAM(REFUSED_STREAM) and followed by GOAWAY: grpc retries that RPC on
// another connection, since it was not processed, and makes no new one here.
// The answer itself still goes to grpc, which drops it, since its header table
// has to stay in step.
func watch(c net.Conn, h hears) net.Conn {
	w := &watched{Conn: c, answered: sync.OnceFunc(h.answered), retry: h.retry, out: requests{skip: len(preface)}}
	w.refused = func(err error) {
		if !w.told {
			w.told = true
			h.refused(err)
		}
	}
	w.dec = hpack.NewDecoder(4096, func(f hpack.HeaderField) { w.head.add(f) })
	w.dec.SetMaxStringLength(maxHeaderList)
	return w
}

// watched is a native connection. Its fields are the reader's.
type watched struct {
	net.Conn

	answered func()
	refused  func(error)
	retry    func() bool
	told     bool // refused was called
	acked    bool // the SETTINGS that greet sent

	passing bool   // nothing is looked at any more
	ready   []byte // to be read yet
	in      []byte // of a frame that is not whole
	held    []byte // frames of a head that is not whole
	block   []byte // its field block
	dec     *hpack.Decoder
	head    answer
	left    bool   // GOAWAY was inserted
	first   uint32 // the stream that gRPC answered first
	seen    int    // bytes since

	out    requests
	closed atomic.Bool
}

// Read implements net.Conn.
func (w *watched) Read(p []byte) (int, error) {
	for len(w.ready) == 0 {
		if w.passing && w.acked {
			return w.Conn.Read(p)
		}
		if err := w.frame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.ready)
	w.ready = w.ready[n:]
	return n, nil
}

// frame reads a frame. What an interrupted Read got stays in w.in.
func (w *watched) frame() error {
	for {
		size := frameHeader
		if len(w.in) >= frameHeader {
			size += int(w.in[0])<<16 | int(w.in[1])<<8 | int(w.in[2])
			if size > frameHeader+maxFrameSize || w.first == 0 && string(w.in[:7]) == "HTTP/1." {
				w.giveUp()
				return nil
			}
		}
		if len(w.in) >= frameHeader && len(w.in) == size {
			break
		}
		buf := make([]byte, size-len(w.in))
		n, err := w.Conn.Read(buf)
		w.in = append(w.in, buf[:n]...)
		if err != nil && n == 0 {
			w.onError(err)
			if isTimeout(err) || len(w.held)+len(w.in) == 0 {
				return err
			}
			w.passing, w.acked = true, true
			w.ready = append(w.held, w.in...) // the error comes again
			return nil
		}
	}
	f := w.in
	w.in = nil
	w.onFrame(f)
	return nil
}

// giveUp passes on what is not HTTP/2 as it is.
func (w *watched) giveUp() {
	if string(w.in[:7]) == "HTTP/1." {
		w.refused(&signError{class: definite, what: "a hop answered HTTP/1.1: " + clip(string(w.in))})
	}
	w.passing, w.acked = true, true
	w.ready, w.in = append(w.held, w.in...), nil
}

// onError notes a connection that ended young.
func (w *watched) onError(err error) {
	if w.first == 0 && w.out.made() && !w.closed.Load() && !isTimeout(err) {
		w.refused(&signError{class: ambiguous, what: "the connection ended before the first answer", err: err})
	}
}

// onFrame makes a frame ready to be read, with what is inserted.
func (w *watched) onFrame(f []byte) {
	id := binary.BigEndian.Uint32(f[5:]) &^ (1 << 31)
	payload := f[frameHeader:]
	if w.first != 0 {
		w.seen += len(f)
	}
	if !w.acked && isSettingsAck(f) {
		w.acked = true
		return
	}
	if w.passing {
		w.ready = f
		if w.seen += len(f); w.seen > watchedBytes {
			w.acked = true // it does not come any more
		}
		return
	}
	if len(w.held) > 0 && http2.FrameType(f[3]) != http2.FrameContinuation {
		w.passing, w.ready = true, append(w.held, f...) // grpc will say what is wrong
		w.held = nil
		return
	}
	switch http2.FrameType(f[3]) {
	case http2.FrameHeaders:
		w.block = append(w.block[:0], fragment(f[4], payload)...)
		w.held = append(w.held[:0], f...)
	case http2.FrameContinuation:
		w.block = append(w.block, payload...)
		w.held = append(w.held, f...)
	case http2.FrameRSTStream:
		f = w.onReset(f, payload)
	case http2.FrameGoAway:
		w.onGoAway(payload)
	case http2.FrameData:
		if id == w.first && f[4]&flagEndStream != 0 {
			w.refused(lostTrailers()) // it may have been processed: nobody retries
			w.passing = true
		}
	}
	if len(w.held) == 0 {
		w.ready = f
		w.passing = w.passing || w.seen > watchedBytes
		return
	}
	if f[4]&flagEndHeaders != 0 || len(w.held) > maxHeaderList {
		w.onHead(id, w.held[4]&flagEndStream != 0)
	}
}

// isSettingsAck reports whether f acknowledges SETTINGS.
func isSettingsAck(f []byte) bool {
	return http2.FrameType(f[3]) == http2.FrameSettings && http2.Flags(f[4]).Has(http2.FlagSettingsAck)
}

// fragment returns the field block in the payload of a HEADERS frame.
func fragment(flags byte, payload []byte) []byte {
	pad, skip := 0, 0
	if flags&flagPadded != 0 && len(payload) > 0 {
		pad, skip = int(payload[0]), 1
	}
	if flags&flagPriority != 0 {
		skip += 5
	}
	if skip+pad > len(payload) {
		return nil
	}
	return payload[skip : len(payload)-pad]
}

// onHead makes a whole head ready, after what it shows.
func (w *watched) onHead(id uint32, last bool) {
	w.head = answer{}
	_, err := w.dec.Write(w.block)
	if err == nil {
		err = w.dec.Close()
	}
	held := w.held
	w.held = nil
	w.ready = held
	switch {
	case err != nil || len(held) > maxHeaderList:
		w.passing = true // grpc will say what is wrong
	case w.first != 0:
		w.passing = id == w.first && last
	case w.head.interim():
	case w.head.isGRPC():
		w.first = id
		w.passing = last
		w.answered()
	default:
		sign := w.head.sign()
		if sign.class == definite && w.mayRetry() {
			w.ready = append(resetFrame(id), held...)
			w.leave()
		}
		w.refused(sign)
	}
}

// onReset turns HTTP_1_1_REQUIRED into a code that grpc retries.
func (w *watched) onReset(f, payload []byte) []byte {
	if len(payload) != 4 || w.first != 0 || http2.ErrCode(binary.BigEndian.Uint32(payload)) != http2.ErrCodeHTTP11Required {
		return f
	}
	retry := w.mayRetry()
	w.refused(resetSign("RST_STREAM", http2.ErrCodeHTTP11Required))
	if !retry {
		return f
	}
	binary.BigEndian.PutUint32(payload, uint32(http2.ErrCodeRefusedStream))
	if w.left {
		return f
	}
	w.left = true
	return append(f, goAwayFrame()...)
}

// onGoAway does the same for the connection.
func (w *watched) onGoAway(payload []byte) {
	if len(payload) < 8 || w.first != 0 || http2.ErrCode(binary.BigEndian.Uint32(payload[4:])) != http2.ErrCodeHTTP11Required {
		return
	}
	retry := w.mayRetry()
	w.refused(resetSign("GOAWAY", http2.ErrCodeHTTP11Required))
	if !retry {
		return
	}
	binary.BigEndian.PutUint32(payload[4:], uint32(http2.ErrCodeNo))
	w.left = true
}

// mayRetry reports whether another way may be open for an RPC that no handler
// saw. If not, its caller gets the answer as it is.
func (w *watched) mayRetry() bool { return w.retry == nil || w.retry() }

// leave inserts a GOAWAY.
func (w *watched) leave() {
	if !w.left {
		w.left = true
		w.ready = append(w.ready, goAwayFrame()...)
	}
}

// resetFrame says that stream id was not processed.
func resetFrame(id uint32) []byte {
	f := []byte{0, 0, 4, byte(http2.FrameRSTStream), 0}
	f = binary.BigEndian.AppendUint32(f, id)
	return binary.BigEndian.AppendUint32(f, uint32(http2.ErrCodeRefusedStream))
}

// goAwayFrame says that no more streams are taken; those that there are go on.
func goAwayFrame() []byte {
	f := []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0}
	f = binary.BigEndian.AppendUint32(f, 1<<31-1)
	return binary.BigEndian.AppendUint32(f, uint32(http2.ErrCodeNo))
}

// Write implements net.Conn.
func (w *watched) Write(p []byte) (int, error) {
	w.out.scan(p)
	return w.Conn.Write(p)
}

// Close implements net.Conn.
func (w *watched) Close() error {
	w.closed.Store(true)
	return w.Conn.Close()
}

// requests finds out whether a request was written.
type requests struct {
	found atomic.Bool

	mu   sync.Mutex
	skip int // bytes until the next frame
	head []byte
}

// made reports whether there was one.
func (r *requests) made() bool { return r.found.Load() }

// scan looks through what is written, until there was one.
func (r *requests) scan(p []byte) {
	if r.found.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 {
		if n := min(r.skip, len(p)); n > 0 {
			r.skip -= n
			p = p[n:]
			continue
		}
		n := min(frameHeader-len(r.head), len(p))
		r.head = append(r.head, p[:n]...)
		p = p[n:]
		if len(r.head) < frameHeader {
			return
		}
		if http2.FrameType(r.head[3]) == http2.FrameHeaders {
			r.found.Store(true)
			return
		}
		r.skip = int(r.head[0])<<16 | int(r.head[1])<<8 | int(r.head[2])
		r.head = r.head[:0]
	}
}
