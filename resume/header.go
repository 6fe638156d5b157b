package resume

import (
	"net/http"
	"strconv"
)

// Header fields of the request that opens a carrier, and of its answer
// (docs/PROTOCOL.md).
const (
	headerResume   = "Culvert-Resume"   // version: asks for a session
	headerSession  = "Culvert-Session"  // its name
	headerAttempt  = "Culvert-Attempt"  // number of the request
	headerOffset   = "Culvert-Offset"   // bytes received
	headerInstance = "Culvert-Instance" // of the server: who has answered
	headerConfirm  = "Culvert-Confirm"  // version: the client's first message will tell whether it got the session
)

// version is the value of headerResume.
const version = "1"

// AskSession asks for a session, in the header of a request. The Conn of a client
// confirms that it has it, since a hop may drop the field of the answer that names
// it.
func AskSession(h http.Header) {
	h.Set(headerResume, version)
	h.Set(headerConfirm, version)
}

// Ask asks to resume the session name, in the header of a request.
func (a *Attachment) Ask(h http.Header, name string) {
	h.Set(headerSession, name)
	h.Set(headerAttempt, strconv.FormatUint(a.attempt, 10))
	h.Set(headerOffset, strconv.FormatUint(a.Offset(), 10))
}

// Request is what a request says of a session.
type Request struct {
	New     bool   // it asks for a new one
	Confirm bool   // the client will confirm that it has it: see Conn.AwaitConfirmation
	Name    string // of the session to be resumed, "" if it is none
	Attempt uint64
	Offset  uint64 // bytes that the client has received
}

// ParseRequest returns what the header of a request says. The error is a
// *RefusedError.
func ParseRequest(h http.Header) (Request, error) {
	name := h.Values(headerSession)
	if len(name) == 0 {
		return Request{New: h.Get(headerResume) == version, Confirm: h.Get(headerConfirm) == version}, nil
	}
	attempt, ok1 := number(h, headerAttempt)
	offset, ok2 := number(h, headerOffset)
	if len(name) > 1 || len(name[0]) != nameLength || !ok1 || !ok2 {
		return Request{}, &RefusedError{http.StatusBadRequest, "the session, attempt or offset of the request is garbled"}
	}
	return Request{Name: name[0], Attempt: attempt, Offset: offset}, nil
}

// number returns the only value of key, which is at most maxOffset.
func number(h http.Header, key string) (uint64, bool) {
	v := h.Values(key)
	if len(v) != 1 {
		return 0, false
	}
	n, ok := parseOffset(v[0])
	return n, ok && n <= maxOffset
}

// SessionName returns the name of the session that an answer grants, "" if it
// grants none.
func SessionName(h http.Header) string {
	if v := h.Values(headerSession); len(v) == 1 && len(v[0]) == nameLength {
		return v[0]
	}
	return ""
}
