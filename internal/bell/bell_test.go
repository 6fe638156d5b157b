package bell

import "testing"

// TestBell rings before and after there is a line.
func TestBell(t *testing.T) {
	heard := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	var b Bell
	b.Ring()
	line := b.Line()
	if heard(line) {
		t.Error("heard what rang before there was a line")
	}
	b.Ring()
	b.Ring()
	if !heard(b.Line()) || heard(line) {
		t.Error("two rings are not heard once")
	}
}
