// Package token has a lock that a goroutine can stop waiting for.
package token

import (
	"runtime"
	"sync/atomic"
)

// Token is what one goroutine at a time holds. The zero value is free.
//
//	if !t.Want() {
//		select {
//		case <-t.Next():
//		case <-done:
//			t.Leave()
//			return
//		}
//	}
//	defer t.Release()
//
// count is how many hold or want it: who makes it 1 holds it, and a Release
// that leaves others behind passes it to one of them, the first in line,
// through the channel. So nobody starves, and without others a channel is not
// even made.
type Token struct {
	count atomic.Int32
	next  atomic.Pointer[chan struct{}]
}

// Try takes the token if it is free.
func (t *Token) Try() bool { return t.count.CompareAndSwap(0, 1) }

// Want takes the token if it is free. If it is not, the caller must wait: it
// has the token when it has received from Next, unless it calls Leave.
func (t *Token) Want() bool { return t.count.Add(1) == 1 }

// Held reports whether somebody holds the token, or wants it.
func (t *Token) Held() bool { return t.count.Load() > 0 }

// Next returns the channel through which the token is passed on.
func (t *Token) Next() <-chan struct{} { return t.line() }

// Leave stops waiting, for a caller that Want refused and that has not
// received from Next.
func (t *Token) Leave() {
	for {
		n := t.count.Load()
		if n > 1 {
			if t.count.CompareAndSwap(n, n-1) {
				return
			}
			continue
		}
		select { // nobody else: it is being passed to the caller
		case <-t.line():
			t.Release()
			return
		default:
			runtime.Gosched()
		}
	}
}

// Release gives up the token, for its holder.
func (t *Token) Release() {
	if t.count.Add(-1) > 0 {
		t.pass()
	}
}

// pass passes it to who is first in line.
func (t *Token) pass() {
	t.line() <- struct{}{} // has room: who passes it on held it
}

func (t *Token) line() chan struct{} {
	if c := t.next.Load(); c != nil {
		return *c
	}
	c := make(chan struct{}, 1)
	if t.next.CompareAndSwap(nil, &c) {
		return c
	}
	return *t.next.Load()
}
