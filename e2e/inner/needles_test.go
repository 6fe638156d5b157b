package inner_test

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// needles are what to look for: bytes by what they are.
type needles map[string][]byte

// found are names of needles, with "masked " in front of what was masked as a
// WebSocket client masks it.
type found map[string]bool

func (f found) String() string { return strings.Join(slices.Sorted(maps.Keys(f)), ", ") }

const masked = "masked "

// secret returns text that is nowhere else.
func secret() string { return strings.ToLower(rand.Text() + rand.Text()) }

// huffman is how HPACK compresses text, up to the last byte, which holds bits of
// what follows too.
func huffman(text string) []byte {
	b := hpack.AppendHuffmanString(nil, text)
	return b[:len(b)-1]
}

// longest returns how long the longest needle is.
func (n needles) longest() int {
	size := 0
	for _, b := range n {
		size = max(size, len(b))
	}
	return size
}

// seek adds to f what is in b, under whatever mask. A mask is 4 bytes again and
// again, so that it does not show in each byte XOR the one 4 bytes on.
func (n needles) seek(b []byte, f found) {
	differences := differ(b)
	for name, needle := range n {
		d := differ(needle)
		for at := 0; !f[name] || !f[masked+name]; at++ {
			i := bytes.Index(differences[at:], d)
			if i < 0 {
				break
			}
			at += i
			if bytes.HasPrefix(b[at:], needle) {
				f[name] = true
			} else {
				f[masked+name] = true
			}
		}
	}
}

func differ(b []byte) []byte {
	if len(b) <= 4 {
		return nil
	}
	d := make([]byte, len(b)-4)
	subtle.XORBytes(d, b, b[4:])
	return d
}

// TestSeek finds what is there and no more, masked or not.
func TestSeek(t *testing.T) {
	n := needles{"one": []byte(secret()), "two": []byte(secret()), "three": []byte(secret())}
	hay := bytes.Repeat([]byte("hay"), 1000)
	mask := bytes.Repeat([]byte{1, 2, 3, 4}, 2000)
	stack := slices.Concat(hay, n["one"], hay, n["two"])
	subtle.XORBytes(stack, stack, mask)
	stack = slices.Concat(stack, []byte("."), n["one"])
	got := found{}
	n.seek(stack, got)
	if got, want := got.String(), "masked one, masked two, one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
