package mux_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/pion/transport/v3/test"
)

// TestPlainFrames has a stream read what is taken at once, whole data frames
// without flags, and what looks nearly like it.
func TestPlainFrames(t *testing.T) {
	defer test.CheckRoutines(t)()
	const (
		fin    = 4
		rounds = 20
	)
	data := func(id uint32, s string) []byte { return frame(0, 0, 0, id, uint32(len(s)), []byte(s)...) }
	within := string(data(1, "a body"))
	// The version, type and flags of a frame for a stream that does not exist come
	// first. What follows is the rest of its header, one byte for it, and a frame
	// with a flag that means nothing.
	const odd = "\x00\x00\x00\x00\x01\x00\x00\x00\x02ok"
	for name, tt := range map[string]struct {
		pieces       [][]byte
		first, other string // what the streams 1 and 3 get
	}{
		"one":                 {[][]byte{data(1, "one")}, "one", ""},
		"one by one":          {[][]byte{data(1, "a"), data(1, "b"), data(1, "c")}, "abc", ""},
		"two at once":         {[][]byte{append(data(1, "ab"), data(1, "cd")...)}, "abcd", ""},
		"another stream's":    {[][]byte{data(3, "other"), data(1, "end")}, "end", "other"},
		"with a flag":         {[][]byte{frame(0, 0, fin, 1, 3, 'f', 'i', 'n')}, "fin", ""},
		"not whole":           {[][]byte{data(1, "not whole")[:15], []byte(" whole")}, "not whole", ""},
		"within a body":       {[][]byte{frame(0, 0, 0, 1, uint32(len(within))), []byte(within)}, within, ""},
		"within a header":     {[][]byte{{0, 0, 0, 0}, data(1, odd)}, "ok", ""},
		"an update":           {[][]byte{frame(0, 1, 0, 1, 1), data(1, "end")}, "end", ""},
		"an update and bytes": {[][]byte{append(frame(0, 1, 0, 1, 12), data(1, "")...), data(1, "end")}, "end", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer, _, read := raw(t, nil)
			write := make(chan []byte)
			written := make(chan struct{})
			go func() {
				defer close(written)
				for piece := range write {
					_, _ = peer.Write(piece) // the streams show what came of it
				}
			}()
			write <- append(frame(0, 1, 1, 3, 0), frame(0, 1, 1, 1, 0)...)
			other, err := s.Accept()
			if err != nil {
				t.Fatal(err)
			}
			first, err := s.Accept()
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 4<<10)
			for range rounds { // then it is this goroutine that reads the connection
				write <- data(1, ".")
				if n, err := first.Read(p); n != 1 || err != nil {
					t.Fatalf("got %q, %v, want a point", p[:n], err)
				}
			}
			go func() {
				defer close(write)
				for _, piece := range tt.pieces {
					write <- piece
				}
			}()
			var got []byte
			for len(got) < len(tt.first) {
				n, err := first.Read(p)
				if got = append(got, p[:n]...); err != nil {
					t.Fatalf("got %q, %v, want %q", got, err, tt.first)
				}
			}
			<-written
			if string(got) != tt.first {
				t.Errorf("got %q, want %q", got, tt.first)
			}
			rest := make([]byte, len(tt.other))
			if _, err := io.ReadFull(other, rest); err != nil || !bytes.Equal(rest, []byte(tt.other)) {
				t.Errorf("the other stream: got %q, %v, want %q", rest, err, tt.other)
			}
			if tt.pieces[0][3] == fin {
				if n, err := first.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // the bare one is promised
					t.Errorf("got %d, %v after the end, want EOF", n, err)
				}
			}
			_ = s.Close()
			_ = peer.Close()
			<-read
		})
	}
}
