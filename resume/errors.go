package resume

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"
)

var (
	errPeerEnded = fmt.Errorf("resume: the peer has closed: %w", syscall.EPIPE)
	errOvertaken = errors.New("resume: another carrier came first")
	errSilent    = errors.New("resume: nothing was heard for too long")
	errNoByte    = errors.New("resume: the new carrier was accepted, but no byte came: a hop on the way does not relay it")
	errEvicted   = errors.New("resume: there are too many sessions")
	errStuck     = errors.New("resume: the carrier was cut to interrupt a Write")
)

// LostError ends a stream that was cut and not resumed.
type LostError struct {
	Cut   error         // why the last carrier ended
	Cause error         // why there is no other: what the last attempt got
	After time.Duration // how long the stream was without a carrier, or a client's without one of use
}

func (e *LostError) Error() string {
	return fmt.Sprintf("resume: cut (%v), and not resumed in %v: %v", e.Cut, e.After.Round(time.Millisecond), e.Cause)
}

// Unwrap returns both causes.
func (e *LostError) Unwrap() []error { return []error{e.Cut, e.Cause} }

// UselessError says that a carrier was accepted and ended too soon.
type UselessError struct {
	After time.Duration // for how long there was a carrier
	Err   error         // why it ended
}

func (e *UselessError) Error() string {
	return fmt.Sprintf("resume: a carrier was accepted, and ended after %v with nothing moved: %v", e.After.Round(time.Millisecond), e.Err)
}

// Unwrap returns why the carrier ended.
func (e *UselessError) Unwrap() error { return e.Err }

// ProtocolError ends a stream whose peer broke docs/PROTOCOL.md.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "resume: peer violated the protocol: " + e.Reason }

// RefusedError says why a request to resume a session was refused, for good.
type RefusedError struct {
	StatusCode int // 400, 403, 404 or 409
	Reason     string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("resume: refused with %d %s: %s", e.StatusCode, http.StatusText(e.StatusCode), e.Reason)
}
