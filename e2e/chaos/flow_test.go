package main

import (
	"slices"
	"testing"
)

func TestFlow(t *testing.T) {
	tests := []struct {
		name  string
		order []int
		want  [faultKinds]int
	}{
		{"in order", []int{0, 1, 2, 3}, [faultKinds]int{}},
		{"nothing", nil, [faultKinds]int{missing: 4}},
		{"the last lost", []int{0, 1, 2}, [faultKinds]int{missing: 1}},
		{"the first lost", []int{1, 2, 3}, [faultKinds]int{missing: 1}},
		{"two lost", []int{0, 3}, [faultKinds]int{missing: 2}},
		{"doubled", []int{0, 1, 1, 2, 3, 0}, [faultKinds]int{doubled: 2}},
		{"reordered", []int{0, 2, 1, 3}, [faultKinds]int{reordered: 1}},
		{"late twice", []int{0, 2, 1, 1, 3}, [faultKinds]int{reordered: 1, doubled: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBook(1)
			f := b.open("test")
			var sent [][]byte
			for range 4 {
				sent = append(sent, f.short(100))
			}
			for _, i := range tt.order {
				f.received(slices.Clone(sent[i]))
			}
			b.settle()
			if got, _, shown := b.count(); got != tt.want {
				t.Errorf("%v, not %v: %q", got, tt.want, shown)
			}
		})
	}
}

func TestFlowSeesChanges(t *testing.T) {
	b := newBook(1)
	f, other := b.open("test"), b.open("other")
	m := f.message(maxContent)
	for i := range m[:headSize+100] {
		c := slices.Clone(m)
		c[i] ^= 1
		f.received(c)
	}
	f.received(m[:headSize-1])
	f.received(m[:len(m)-1])
	f.received(append(slices.Clone(m), 0))
	f.received(other.message(3))
	if got, _, shown := b.count(); got != [faultKinds]int{corrupt: headSize + 104} {
		t.Errorf("%v: %q", got, shown)
	}
	if g, ok := b.flowOf(m); !ok || g != f {
		t.Error("flowOf does not find the flow")
	}
}
