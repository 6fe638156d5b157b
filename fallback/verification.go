package fallback

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// verifyTimeout bounds a verification.
const verifyTimeout = 5 * time.Second

// verification is a proof being made, on a connection of its own, that gRPC
// passes from end to end.
type verification struct {
	cancel   context.CancelFunc
	halfway  atomic.Bool   // a request that ended was answered
	answered chan struct{} // closed at the first answer of gRPC to one that had not ended
	done     chan struct{} // closed at the end
	err      error         // set before done is closed
}

// verify begins a verification beside a dial to addr. It goes on after its
// first answer, which is as much as the dial waits for, and tells the target
// how it ended.
func (t *target) verify(addr string) *verification {
	ctx, cancel := context.WithTimeoutCause(t.dialer.life, verifyTimeout, &signError{
		what: "no gRPC answer within " + verifyTimeout.String() + ": an intermediary may hold answers back until the request ends",
	})
	v := &verification{cancel: cancel, answered: make(chan struct{}), done: make(chan struct{}), err: errClosed}
	answered := sync.OnceFunc(func() { close(v.answered) })
	t.dialer.spawn(func() {
		defer cancel()
		v.err = t.runVerification(ctx, addr, func() { v.halfway.Store(true) }, answered)
		close(v.done)
		t.dialer.Trace.verified(t.name, v.err)
		select {
		case <-v.answered:
			if v.err == nil {
				t.verified("HTTP/2 passes, gRPC was verified end to end")
			} else if isEvidence(v.err) {
				t.onSign(v.err)
			}
		default: // the dial did not wait for it
			held := v.halfway.Load() || !t.alive() // answers are held back until a request ends, or it seems so
			if v.err != nil && classify(v.err) == ambiguous && ctx.Err() != nil && held {
				t.onSign(v.err)
			}
		}
	})
	return v
}

// wait waits until gRPC has answered, or the verification is over. It returns
// nil if gRPC passes, as far as is known then.
func (v *verification) wait(enough <-chan struct{}) error {
	select {
	case <-v.answered:
		return nil
	case <-v.done:
	case <-enough:
		return errClosed
	}
	select {
	case <-v.answered:
		return nil
	default:
		return v.err
	}
}

// runVerification connects to addr and verifies.
func (t *target) runVerification(ctx context.Context, addr string, halfway, answered func()) error {
	c, err := t.connect(ctx, addr, func() {}, "h2", "http/1.1")
	if err != nil {
		return &signError{class: unknown, what: "no connection for the verification", err: err}
	}
	defer c.Close()
	if sign := noHTTP2(c); sign != nil {
		return &signError{class: unknown, what: "the connection of the verification", err: sign}
	}
	return verify(ctx, c, t.dialer.scheme("http"), t.dest.authority, halfway, answered)
}
