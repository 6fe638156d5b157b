package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"math"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestHeadsAreThoseOfRFC6455(t *testing.T) {
	for length, want := range map[uint64]string{
		0:         "82 80",
		125:       "82 fd",
		126:       "82 fe 007e",
		1<<16 - 1: "82 fe ffff",
		1 << 16:   "82 ff 0000000000010000",
		1<<63 - 1: "82 ff 7fffffffffffffff",
		1 << 63:   "82 ff 8000000000000000",
	} {
		want = strings.ReplaceAll(want, " ", "") + "00000000"
		if got := hex.EncodeToString(appendHead(nil, opBinary, length)); got != want {
			t.Errorf("length %d: got %s, want %s", length, got, want)
		}
	}
}

func TestMuxHeaders(t *testing.T) {
	got := appendMux(nil, muxWindow, flagSYN|flagFIN, 0x01020304, math.MaxUint32)
	if want := []byte{0, 1, 0, 5, 1, 2, 3, 4, 255, 255, 255, 255}; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestRepeatedFillsABatch(t *testing.T) {
	b, n := repeated(make([]byte, 12))
	if len(b) != 12*n || len(b) > batch || len(b) < batch-12 {
		t.Errorf("got %d bytes for %d frames, want nearly %d", len(b), n, batch)
	}
}

func TestPayloadSkipsWhatIsNone(t *testing.T) {
	b := append([]byte{opPing, 2, 'x', 'x'}, opBinary&0x7f, 3, 'a', 'b', 'c')
	b = append(b, 0x80, 0, opText, 1, 'x', opBinary, 126, 0, 2, 'd', 'e')
	s := &socket{in: bufio.NewReader(bytes.NewReader(b))}
	got := make([]byte, 5)
	if err := s.payload(got); err != nil || string(got) != "abcde" {
		t.Errorf("got %q, %v, want abcde", got, err)
	}
}

func TestRequestsAreHTTP(t *testing.T) {
	u := upgrade{token: "x", resume: true, session: "s", attempt: 2, offset: 3}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(u.request())))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"Authorization": "Bearer x", "Culvert-Resume": "1", "Culvert-Session": "s", "Culvert-Attempt": "2", "Culvert-Offset": "3",
	} {
		if got := r.Header.Get(key); got != want {
			t.Errorf("got %s %q, want %q", key, got, want)
		}
	}
}

func TestBulkCallIsHTTP2(t *testing.T) {
	b, err := bulkCall()
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(string(b), http2.ClientPreface)
	if !ok {
		t.Fatalf("got %q, want the preface first", b[:24])
	}
	f := http2.NewFramer(nil, strings.NewReader(rest))
	for _, want := range []http2.FrameType{http2.FrameSettings, http2.FrameWindowUpdate, http2.FrameHeaders, http2.FrameData} {
		if got, err := f.ReadFrame(); err != nil || got.Header().Type != want {
			t.Fatalf("got %v, %v, want a frame of type %v", got, err, want)
		}
	}
}
