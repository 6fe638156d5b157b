// Package maxframe makes frames small enough for a hop that passes no large ones.
package maxframe

import (
	"cmp"
	"net/http"
	"strconv"
	"sync"
)

// Header tells the server how long the payload of its frames may be on this
// WebSocket (docs/PROTOCOL.md).
const Header = "Culvert-Max-Frame"

// Sizes of a frame's payload, in bytes: what is usual, and what no hop refuses.
const (
	usual = 128 << 10
	least = 16 << 10
)

// Limit learns from how WebSockets end how large frames may be. The zero value
// allows any. It may be used concurrently.
type Limit struct {
	mu    sync.Mutex
	limit int  // 0: none
	tried bool // the least was tried for uselessness, and did not help
}

// TooLarge notes that a WebSocket was closed since a frame was too large (close
// code 1009).
func (l *Limit) TooLarge(maxFrame int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.halve(maxFrame)
}

// Useless notes that the nth WebSocket in a row ended before anything moved.
// Perhaps each died within the same large frame: from the second one on the
// limit is halved. If the least does not help either, frames are not the reason,
// and the limit is lifted until a WebSocket has worked.
func (l *Limit) Useless(n, maxFrame int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n == 1:
		l.tried = false
	case l.tried:
	case l.limit == least:
		l.limit, l.tried = 0, true
	default:
		l.halve(maxFrame)
	}
}

// halve halves the limit; mu is held.
func (l *Limit) halve(maxFrame int) {
	l.limit = max(Cap(maxFrame, l.limit)/2, least)
}

// Get returns the limit in bytes, 0 if there is none.
func (l *Limit) Get() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

// Cap returns maxFrame, of which 0 and less mean 128 KiB, or limit if that is
// less and not 0.
func Cap(maxFrame, limit int) int {
	if maxFrame <= 0 {
		maxFrame = usual
	}
	return min(maxFrame, cmp.Or(limit, maxFrame))
}

// Ask asks in the header of a request for frames within limit, unless it is 0.
func Ask(h http.Header, limit int) {
	if limit > 0 {
		h.Set(Header, strconv.Itoa(limit))
	}
}

// Asked returns the limit that the header of a request asks for, 0 for none. One
// below 16 KiB is taken as that: small frames cost the server time.
func Asked(h http.Header) int {
	n, err := strconv.Atoi(h.Get(Header))
	if err != nil || n <= 0 {
		return 0
	}
	return max(n, least)
}
