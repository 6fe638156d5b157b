package fallback

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// script is a connection on which the server says what is given.
type script struct {
	net.Conn // nil: nothing else is called

	r io.Reader
}

func (s script) Read(p []byte) (int, error)     { return s.r.Read(p) }
func (script) Write(p []byte) (int, error)      { return len(p), nil }
func (script) Close() error                     { return nil }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }

// frames writes frames, and returns their bytes.
func frames(write func(f *http2.Framer, head func(fields ...string) []byte)) []byte {
	var b, block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	write(http2.NewFramer(&b, nil), func(fields ...string) []byte {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return bytes.Clone(block.Bytes())
	})
	return b.Bytes()
}

// watchScript reads all that watch makes of the server's bytes.
func watchScript(in []byte, r io.Reader) (out []byte, answered int, refused []error) {
	w := watch(script{r: r}, hears{answered: func() { answered++ }, refused: func(err error) { refused = append(refused, err) }})
	_, _ = w.Write([]byte(preface + emptySettings))
	_, _ = w.Write(frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head(":method", "POST"), EndHeaders: true})
	}))
	out, _ = io.ReadAll(w)
	return out, answered, refused
}

// TestWatch goes through what servers and hops say.
func TestWatch(t *testing.T) {
	type framer = http2.Framer
	header := func(f *framer, id uint32, block []byte, end bool) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: end, PadLength: 3})
	}
	for _, tt := range []struct {
		name     string
		write    func(f *framer, head func(...string) []byte)
		answered int
		class    class // of what is refused
		refused  bool
		inserted int // bytes: 13 for RST_STREAM, 17 for GOAWAY
	}{
		{"gRPC", func(f *framer, head func(...string) []byte) {
			header(f, 1, head(":status", "200", "content-type", "application/grpc+proto"), false)
			_ = f.WriteData(1, false, make([]byte, 5))
			header(f, 1, head("grpc-status", "0"), true)
			_ = f.WriteGoAway(1, http2.ErrCodeHTTP11Required, nil) // too late to mean anything
		}, 1, 0, false, 0},
		{"trailers alone", func(f *framer, head func(...string) []byte) {
			header(f, 1, head(":status", "200", "content-type", "application/grpc", "grpc-status", "12"), true)
		}, 1, 0, false, 0},
		{"interim", func(f *framer, head func(...string) []byte) {
			header(f, 1, head(":status", "103"), false)
			header(f, 1, head(":status", "200", "content-type", "application/grpc"), false)
		}, 1, 0, false, 0},
		{"426", func(f *framer, head func(...string) []byte) {
			header(f, 1, head(":status", "426", "culvert-tunnel", "/culvert"), true)
		}, 0, definite, true, 30},
		{"two pages", func(f *framer, head func(...string) []byte) {
			header(f, 1, head(":status", "200", "content-type", "text/html"), false)
			header(f, 3, head(":status", "200", "content-type", "text/html"), false)
		}, 0, definite, true, 43},
		{"continued", func(f *framer, head func(...string) []byte) {
			block := head(":status", "505", "server", "hop/1")
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:2]})
			_ = f.WriteContinuation(1, false, block[2:4])
			_ = f.WriteContinuation(1, true, block[4:])
		}, 0, definite, true, 30},
		{"503, and then gRPC", func(f *framer, head func(...string) []byte) {
			header(f, 1, head(":status", "503"), true)
			header(f, 3, head(":status", "200", "content-type", "application/grpc"), false)
		}, 1, ambiguous, true, 0},
		{"RST_STREAM", func(f *framer, _ func(...string) []byte) { _ = f.WriteRSTStream(1, http2.ErrCodeHTTP11Required) },
			0, definite, true, 17},
		{"GOAWAY", func(f *framer, _ func(...string) []byte) { _ = f.WriteGoAway(0, http2.ErrCodeHTTP11Required, nil) },
			0, definite, true, 0},
		{"lost trailers", func(f *framer, head func(...string) []byte) {
			header(f, 1, head(":status", "200", "content-type", "application/grpc"), false)
			_ = f.WriteData(1, true, make([]byte, 5))
		}, 1, definite, true, 0},
		{"silence", func(*framer, func(...string) []byte) {}, 0, ambiguous, true, 0},
	} {
		in := frames(func(f *framer, head func(...string) []byte) {
			_ = f.WriteSettings()
			tt.write(f, head)
		})
		for reader, r := range map[string]io.Reader{"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in))} {
			out, answered, refused := watchScript(in, r)
			if answered != tt.answered {
				t.Errorf("%s, %s: answered %d times, want %d", tt.name, reader, answered, tt.answered)
			}
			if got := len(refused) == 1; got != tt.refused || len(refused) > 1 {
				t.Errorf("%s, %s: refused %v, want %v", tt.name, reader, refused, tt.refused)
			} else if got && classify(refused[0]) != tt.class {
				t.Errorf("%s, %s: got %v of class %d, want %d", tt.name, reader, refused[0], classify(refused[0]), tt.class)
			}
			if got := len(out) - len(in); got != tt.inserted {
				t.Errorf("%s, %s: got %d bytes more, want %d", tt.name, reader, got, tt.inserted)
			}
		}
	}
}

// TestWatchContinuations holds no more than a head may have, however many empty
// CONTINUATIONs come.
func TestWatchContinuations(t *testing.T) {
	in := frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteSettings()
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head(":status", "200")})
		for range 100_000 {
			_ = f.WriteContinuation(1, false, nil)
		}
	})
	r := bytes.NewReader(in)
	w := watch(script{r: r}, hears{answered: func() {}, refused: func(error) {}})
	buf := make([]byte, 1<<10)
	for n, read := 0, 0; n < len(in); n += read {
		var err error
		if read, err = w.Read(buf); err != nil {
			t.Fatal(err)
		}
		if held := len(in) - r.Len() - n - read; held > 2*maxHeaderList {
			t.Fatalf("got %d bytes held back, want %d at most", held, 2*maxHeaderList)
		}
	}
}

// TestWatchKeepsAck keeps back the acknowledgement of the SETTINGS that greet
// sent, and no other.
func TestWatchKeepsAck(t *testing.T) {
	in := frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteSettings()
		_ = f.WriteSettingsAck()
		_ = f.WriteSettingsAck()
		_ = f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: head(":status", "200", "content-type", "application/grpc"), EndHeaders: true, EndStream: true,
		})
	})
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(in), "bytes": iotest.OneByteReader(bytes.NewReader(in))} {
		out, _, _ := watchScript(in, r)
		if want := append(in[:frameHeader:frameHeader], in[2*frameHeader:]...); !bytes.Equal(out, want) {
			t.Errorf("%s: got %x, want %x", name, out, want)
		}
	}
}

// TestWatchDeadline loses nothing when a deadline interrupts a frame.
func TestWatchDeadline(t *testing.T) {
	in := frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		_ = f.WritePing(false, [8]byte{1})
		_ = f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: head(":status", "200", "content-type", "application/grpc"), EndHeaders: true,
		})
	})
	w := watch(script{r: iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(in)))}, hears{answered: func() {}, refused: func(error) {}})
	var out []byte
	for {
		buf := make([]byte, 7)
		n, err := w.Read(buf)
		out = append(out, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
	}
	if !bytes.Equal(out, in) {
		t.Errorf("got %x, want %x", out, in)
	}
}

// FuzzWatch has a server say anything: watch neither panics nor keeps any of it
// back, and what it delivers does not depend on how it came.
func FuzzWatch(f *testing.F) {
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Add(frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteSettings()
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head(":status", "426"), EndHeaders: true})
	}))
	f.Add(frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteSettings()
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head(":status", "200", "content-type", "application/grpc"), EndHeaders: true})
		_ = f.WriteData(1, true, nil)
	}))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, answered, refused := watchScript(in, bytes.NewReader(in))
		pieces, again, sign := watchScript(in, iotest.OneByteReader(bytes.NewReader(in)))
		if !bytes.Equal(whole, pieces) || answered != again || len(refused) != len(sign) {
			t.Errorf("by the byte: got %x, %d, %v, want %x, %d, %v", pieces, again, sign, whole, answered, refused)
		}
		if answered > 1 || len(refused) > 1 {
			t.Errorf("answered %d times, refused %v, want once at most", answered, refused)
		}
	})
}

// FuzzVerify has a server say anything to a verification, which ends.
func FuzzVerify(f *testing.F) {
	f.Add(frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteSettings()
		for _, id := range []uint32{3, 1} {
			_ = f.WriteHeaders(http2.HeadersFrameParam{
				StreamID: id, BlockFragment: head(":status", "200", "content-type", "application/grpc"), EndHeaders: true,
			})
			_ = f.WriteData(id, false, []byte(verifyMessage))
			_ = f.WriteData(id, false, []byte(verifyMessage))
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head("grpc-status", "0"), EndHeaders: true, EndStream: true})
		}
	}))
	f.Fuzz(func(t *testing.T, in []byte) {
		answered := 0
		err := verify(t.Context(), script{r: bytes.NewReader(in)}, "https", "h:443", func() {}, func() { answered++ })
		if err == nil && answered != 1 || answered > 1 {
			t.Errorf("got %v, and answered %d times", err, answered)
		}
	})
}

// TestWatchEnd passes on what came of a frame that the end of the connection
// cuts off.
func TestWatchEnd(t *testing.T) {
	whole := frames(func(f *http2.Framer, head func(...string) []byte) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head(":status", "200")})
		_ = f.WriteContinuation(1, true, head("content-type", "application/grpc"))
	})
	for n := range whole {
		if out, _, _ := watchScript(whole[:n], bytes.NewReader(whole[:n])); !bytes.Equal(out, whole[:n]) {
			t.Errorf("got %x of %x", out, whole[:n])
		}
	}
}

// TestVerifyForeign takes frames of streams that were not opened for what they
// are, no sign that a hop loses trailers or does not speak gRPC.
func TestVerifyForeign(t *testing.T) {
	for name, write := range map[string]func(f *http2.Framer, head func(...string) []byte){
		"DATA": func(f *http2.Framer, _ func(...string) []byte) { _ = f.WriteData(5, true, []byte("x")) },
		"HEADERS": func(f *http2.Framer, head func(...string) []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: head(":status", "426"), EndHeaders: true})
		},
		"RST_STREAM": func(f *http2.Framer, _ func(...string) []byte) { _ = f.WriteRSTStream(5, http2.ErrCodeHTTP11Required) },
	} {
		t.Run(name, func(t *testing.T) {
			in := frames(func(f *http2.Framer, head func(...string) []byte) {
				_ = f.WriteSettings()
				write(f, head)
			})
			err := verify(t.Context(), script{r: bytes.NewReader(in)}, "https", "h:443", func() {}, func() {})
			if err == nil || classify(err) != ambiguous {
				t.Errorf("got %v of class %v, want it ambiguous", err, classify(err))
			}
		})
	}
}
