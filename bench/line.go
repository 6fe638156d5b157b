package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// lineBound is how many bytes a line holds: far more than any window.
const lineBound = 64 << 20

// blocks holds what parcels are read into.
var blocks = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// A parcel is what one read brought, or the end if block is nil.
type parcel struct {
	block *[64 << 10]byte
	n     int
	due   time.Time
}

// A line is one direction of a connection.
type line struct {
	delay time.Duration

	mu        sync.Mutex
	changed   sync.Cond
	parcels   []parcel
	bytes     int
	abandoned bool // nobody drains it any more
}

func newLine(delay time.Duration) *line {
	l := &line{delay: delay}
	l.changed.L = &l.mu
	return l
}

// fill puts what src brings on the line, until it ends.
func (l *line) fill(src io.Reader) {
	for {
		block := blocks.Get().(*[64 << 10]byte)
		n, err := src.Read(block[:])
		if n > 0 && !l.put(parcel{block, n, time.Now().Add(l.delay)}) {
			return
		}
		if err != nil {
			l.put(parcel{due: time.Now().Add(l.delay)})
			return
		}
	}
}

func (l *line) put(p parcel) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes >= lineBound && !l.abandoned {
		l.changed.Wait()
	}
	l.parcels = append(l.parcels, p)
	l.bytes += p.n
	l.changed.Broadcast()
	return !l.abandoned
}

func (l *line) take() parcel {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.parcels) == 0 {
		l.changed.Wait()
	}
	p := l.parcels[0]
	l.parcels = l.parcels[1:]
	l.bytes -= p.n
	l.changed.Broadcast()
	return p
}

// abandon lets fill end.
func (l *line) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandoned = true
	l.changed.Broadcast()
}

// drain writes each parcel to dst when it is due, and ends dst's input after
// the last. If dst takes no more, src is told by closing it.
func (l *line) drain(dst, src net.Conn) {
	for {
		p := l.take()
		time.Sleep(time.Until(p.due))
		if p.block == nil {
			_ = dst.(*net.TCPConn).CloseWrite()
			return
		}
		_, err := dst.Write(p.block[:p.n])
		blocks.Put(p.block)
		if err != nil {
			l.abandon()
			src.Close()
			return
		}
	}
}
