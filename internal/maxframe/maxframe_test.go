package maxframe_test

import (
	"net/http"
	"strconv"
	"testing"

	"culvert/internal/maxframe"
)

// TestLimit shows what the ends of WebSockets make of the limit: a number is that
// of a useless one in a row, L is too large a frame.
func TestLimit(t *testing.T) {
	for _, tt := range []struct {
		ends     string
		maxFrame int
		want     int // in KiB; 0 is none
	}{
		{"", 0, 0},
		{"L", 0, 64},
		{"LL", 0, 32},
		{"LLLLL", 0, 16},
		{"L", 1 << 20, 512},
		{"L", 20 << 10, 16},
		{"1", 0, 0},
		{"12", 0, 64},
		{"1234", 0, 16},
		{"12345", 0, 0},
		{"123456789", 0, 0},
		{"12345 1", 0, 0},
		{"12345 12", 0, 64},
		{"123 1", 0, 32}, // with which it worked
		{"12345 L", 0, 64},
	} {
		var l maxframe.Limit
		for _, c := range tt.ends {
			switch c {
			case 'L':
				l.TooLarge(tt.maxFrame)
			case ' ':
			default:
				l.Useless(int(c-'0'), tt.maxFrame)
			}
		}
		if got := l.Get() >> 10; got != tt.want {
			t.Errorf("%q of %d: got %d KiB, want %d", tt.ends, tt.maxFrame, got, tt.want)
		}
	}
}

// TestHeader shows how the server is told.
func TestHeader(t *testing.T) {
	for asked, want := range map[string]int{
		"": 0, "65536": 65536, "1": 16 << 10, "0": 0, "-5": 0, "x": 0, "99999999999999999999": 0, strconv.Itoa(1 << 30): 1 << 30,
	} {
		if got := maxframe.Asked(http.Header{maxframe.Header: {asked}}); got != want {
			t.Errorf("%q: got %d, want %d", asked, got, want)
		}
	}
	h := http.Header{}
	maxframe.Ask(h, 0)
	if maxframe.Ask(h, 0); len(h) != 0 {
		t.Errorf("got %v for no limit, want nothing", h)
	}
	if maxframe.Ask(h, 32<<10); maxframe.Asked(h) != 32<<10 {
		t.Errorf("got %v, want 32 KiB", h)
	}
	if got := maxframe.Cap(0, 0); got != 128<<10 {
		t.Errorf("got %d, want the usual", got)
	}
	if got := maxframe.Cap(1000, 2000); got != 1000 {
		t.Errorf("got %d, want no more than was configured", got)
	}
}
