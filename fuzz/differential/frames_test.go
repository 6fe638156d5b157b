package differential

import (
	"slices"
	"testing"

	"culvert/fuzz/internal/script"
)

// maxInput is how much of an input counts.
const maxInput = 4 << 10

// FuzzFrames gives the same bytes to both, in either role: as they are, and as
// a script of frames that are nearly right. The same binary payload and texts
// come out, however the messages are fragmented and the reads are chopped up,
// and the end is the same: its kind, the code of the Close frame that answers,
// and the last PONG. Not compared: where messages begin and end, which mean
// nothing to wsconn; PONGs but the last, which may stand for all; the reason in
// a Close frame.
func FuzzFrames(f *testing.F) {
	for _, client := range []bool{false, true} {
		for kind := range byte(32) { // each violation, each way to close and to be cut, in mid-message
			for _, op := range []byte{12, 13, 15} {
				f.Add([]byte{0x10, 5, 1, 8, 3, 2, op, kind * 9, kind, 7, 'x'}, true, client, 7)
			}
			f.Add([]byte{0x15, 7, 1, 8, 0, 2, 13, kind * 9, 3}, true, client, 1)
			f.Add([]byte{0x80 | kind, 0x80, 1, 2, 3, 4, 0x82, 1, 'x'}, false, client, 3)
		}
		f.Add([]byte{8, 1, 1, 8, 2, 2, 0x65, 9, 1, 0x45, 0xff, 3, 10, 125, 0}, true, client, 3)
		f.Add([]byte{0xe0, 255, 1, 0xd0, 200, 2, 0x30, 0, 3, 0, 1, 1}, true, client, 1000)
		f.Add([]byte{0x95, 100, 1, 0x95, 100, 1, 5, 1}, true, client, 100)
		f.Add([]byte{0x15, 10, 0}, true, client, 100)
	}
	f.Fuzz(func(t *testing.T, src []byte, scripted, client bool, chunk int) {
		raw := src[:min(len(src), maxInput)]
		if scripted {
			raw = script.New(src[:min(len(src), 300)], !client, true).Raw
		}
		compare(t, raw, client, max(1, chunk&0xfff))
	})
}

func compare(t *testing.T, raw []byte, client bool, chunk int) {
	t.Helper()
	ours, theirs := byOurs(t, raw, client, chunk), byTheirs(t, raw, client, chunk)
	if same(ours, theirs, ours.end) && ours.code == theirs.code && ours.pong == theirs.pong {
		return
	}
	for _, d := range allowed {
		if d.match(ours, theirs) {
			return
		}
	}
	t.Errorf("client %v, input %x:\n wsconn          %s\n coder/websocket %s", client, clip(raw), show(ours), show(theirs))
}

func clip(b []byte) []byte { return slices.Clone(b[:min(len(b), 200)]) }
