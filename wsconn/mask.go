package wsconn

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// shortMasked is up to how many bytes xor masks by itself: ws.Cipher takes up to
// 15 of them one by one, which is most of its time then (38 ns for 60 bytes, in
// the place of 11).
const shortMasked = 128

// xor masks b, or unmasks it: pos is how many bytes of the payload come before
// (RFC 6455, Section 5.3).
func xor(b []byte, mask [4]byte, pos int) {
	if pos != 0 || len(b) > shortMasked {
		ws.Cipher(b, mask, pos)
		return
	}
	four := uint64(binary.LittleEndian.Uint32(mask[:]))
	for eight := four | four<<32; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^eight)
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}
