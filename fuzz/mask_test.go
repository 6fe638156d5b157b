package fuzz

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// FuzzMasks masks in the plainest way and has wsconn unmask, and the other way
// round: fragments with keys of their own, reads of every size by Read and
// ReadBuffer, and all ways to write. What WriteFrame leaves in the caller's
// buffer is what it promises.
func FuzzMasks(f *testing.F) {
	f.Add([]byte("hello, world"), uint32(0x01020304), 5, 3, 4)
	f.Add([]byte("x"), uint32(0), 0, 1, 1)
	f.Add(bytes.Repeat([]byte("0123456789"), 40), uint32(0xff00ff00), 126, 100, 7)
	f.Add([]byte{}, uint32(0xdeadbeef), 0, 1, 1)
	f.Fuzz(func(t *testing.T, data []byte, mask uint32, cut, chunk, buffer int) {
		data = data[:min(len(data), maxInput)]
		cut, chunk, buffer = (cut&0xffff)%(len(data)+1), 1+(chunk&0xff), 1+(buffer&0xff)
		raw := append(masked(2, data[:cut], mask), masked(0x80, data[cut:], mask*31+7)...)
		raw = append(raw, masked(0x88, []byte{3, 0xe8}, ^mask)...)
		for _, inPlace := range []bool{false, true} {
			c := wsconn.Server(&memConn{in: bytes.Clone(raw), chunk: chunk}, &wsconn.Config{PingInterval: -1})
			if got, err := readAll(c, buffer, inPlace); err != io.EOF || !bytes.Equal(got, data) { //nolint:errorlint // the bare one is promised
				t.Fatalf("in place %v: got %q, %v, want %q", inPlace, got, err, data)
			}
			_ = c.Close()
		}
		for _, client := range []bool{false, true} {
			writeAll(t, data, cut, client)
		}
	})
}

// masked returns a frame of a client with a key.
func masked(first byte, payload []byte, mask uint32) []byte {
	b := append([]byte{first, 0x80 | 126}, byte(len(payload)>>8), byte(len(payload)))
	b = binary.BigEndian.AppendUint32(b, mask)
	for i, p := range payload {
		b = append(b, p^byte(mask>>(24-i%4*8)))
	}
	return b
}

// readAll reads c to its end, into a buffer of the given size.
func readAll(c *wsconn.Conn, size int, inPlace bool) (all []byte, err error) {
	for p := make([]byte, size); err == nil; {
		var got []byte
		if inPlace {
			got, err = c.ReadBuffer(p)
		} else {
			var n int
			n, err = c.Read(p)
			got = p[:n]
		}
		all = append(all, got...)
	}
	return all, err
}

// writeAll writes data in all ways and checks what was sent.
func writeAll(t *testing.T, data []byte, cut int, client bool) {
	t.Helper()
	out := &memConn{}
	role := wsconn.Server
	if client {
		role = wsconn.Client
	}
	c := role(out, &wsconn.Config{PingInterval: -1, MaxFrame: 3000})
	room := append(make([]byte, wsconn.MaxHeaderSize+cut%3), data...)
	front := len(room) - len(data)
	key, err := c.WriteFrame(room, front)
	for i, b := range room[front:] {
		if b^key[i%4] != data[i] || !client && key[i%4] != 0 {
			t.Fatalf("client %v: got %x in the buffer at %d, key %x, want %x", client, b, i, key, data[i])
		}
	}
	if err == nil {
		_, err = c.WriteBuffers(net.Buffers{data[:cut], data[cut:]})
	}
	if err == nil {
		_, err = c.WriteBuffers(net.Buffers{data[:cut/2], data[cut/2 : cut], nil, data[cut:]})
	}
	if err == nil {
		_, err = c.Write(data)
	}
	_ = c.Close()
	var got []byte
	for _, f := range sent(t, out.out, client) {
		switch {
		case f.Header.OpCode == ws.OpClose:
		case f.Header.OpCode != ws.OpBinary || !f.Header.Fin || f.Header.Length > 3000 || f.Header.Length == 0:
			t.Fatalf("got the frame %+v", f.Header)
		default:
			got = append(got, f.Payload...)
		}
	}
	if want := bytes.Repeat(data, 4); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("client %v: got %d bytes, %v, want %d", client, len(got), err, len(want))
	}
}
