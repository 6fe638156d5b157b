package mux

import "testing"

// TestStreamSet adds and removes one stream and several.
func TestStreamSet(t *testing.T) {
	var set streamSet
	a, b, other := &stream{id: 1}, &stream{id: 2}, &stream{id: 1}
	want := func(want ...*stream) {
		t.Helper()
		n := 0
		for id := range uint32(4) {
			if st := set.get(id); st != nil {
				if st.id != id {
					t.Errorf("got stream %d as %d", st.id, id)
				}
				n++
			}
		}
		for _, st := range want {
			if set.get(st.id) != st {
				t.Errorf("stream %d is not there", st.id)
			}
		}
		if n != len(want) {
			t.Errorf("got %d streams, want %d", n, len(want))
		}
	}
	want()
	set.add(a)
	want(a)
	if set.remove(b) || set.remove(other) {
		t.Error("removed what is not there")
	}
	set.add(b)
	want(a, b)
	if !set.remove(a) || set.remove(a) {
		t.Error("one stream is not removed once")
	}
	want(b)
	set.add(a)
	want(a, b)
	if !set.remove(b) || !set.remove(a) {
		t.Error("a stream is not removed")
	}
	want()
	set.add(a)
	want(a)
	set.add(b)
	if all := set.clear(); len(all) != 2 {
		t.Errorf("cleared %d streams, want 2", len(all))
	}
	want()
}
