package wsconn

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Close codes that this package sends or names (RFC 6455, Section 7.4.1).
const (
	CloseNormal          = 1000
	CloseGoingAway       = 1001
	CloseProtocolError   = 1002
	CloseUnsupportedData = 1003
	CloseNoStatus        = 1005 // never sent: a Close frame without a code
	CloseInvalidPayload  = 1007
	ClosePolicyViolation = 1008
	CloseMessageTooBig   = 1009
	CloseInternalError   = 1011
	CloseTryAgainLater   = 1013
)

// CloseError is returned by Read when the peer closed the connection with a
// code other than 1000 or 1001; those give io.EOF.
type CloseError struct {
	Code   uint16
	Reason string // UTF-8, at most 123 bytes; may be empty
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("wsconn: peer closed with code %d", e.Code)
	}
	return fmt.Sprintf("wsconn: peer closed with code %d: %s", e.Code, e.Reason)
}

// ProtocolError is returned by Read when the peer broke RFC 6455 or a limit of
// Config. The connection was closed with Code.
type ProtocolError struct {
	Code   uint16 // the close code that was sent to the peer
	Reason string // what was wrong
}

func (e *ProtocolError) Error() string {
	return "wsconn: peer violated the protocol: " + e.Reason
}

// IsViolation says that the peer is at fault, rather than the network.
func (*ProtocolError) IsViolation() bool { return true }

// StatusError is returned by Dial when a server, or a proxy asked to CONNECT,
// answered with a status that does not open the way. Its text names who
// answered what, and Advice.
type StatusError struct {
	Op         string      // "CONNECT" or "GET"
	Target     string      // the host:port asked for, or the URL without user and password
	Proxy      string      // host:port of the proxy that answered a CONNECT; "" for a GET
	StatusCode int         // 503
	Status     string      // "503 Service Unavailable"
	Header     http.Header // of the answer
	Body       string      // the beginning of the answer's body, at most 1 KiB

	negotiated bool // by Dialer.ProxyAuth
}

// Hop names who answered, as far as the answer tells: its Server and Via
// headers, the proxy's address, or the target.
func (e *StatusError) Hop() string {
	var names []string
	if e.Proxy != "" {
		names = append(names, "proxy "+e.Proxy)
	}
	for _, key := range []string{"Server", "Via"} {
		if v := e.Header.Get(key); v != "" {
			names = append(names, key+": "+clip(v, 80))
		}
	}
	if len(names) == 0 {
		return "an unnamed server"
	}
	return strings.Join(names, ", ")
}

// RetryAfter returns the delay that the answer's Retry-After header asks for,
// as seconds or as a date, and whether there is one.
func (e *StatusError) RetryAfter() (time.Duration, bool) {
	v := e.Header.Get("Retry-After")
	if s, err := strconv.ParseInt(v, 10, 64); err == nil && s >= 0 {
		if s > int64(math.MaxInt64/time.Second) {
			return math.MaxInt64, true
		}
		return time.Duration(s) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t)), true
	}
	return 0, false
}

func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wsconn: %s %s: %s answered %s", e.Op, e.Target, e.Hop(), e.Status)
	for _, key := range []string{"Location", "Retry-After", "Www-Authenticate", "Proxy-Authenticate"} {
		if v := values(e.Header, key); v != "" {
			fmt.Fprintf(&b, ", %s: %s", key, v)
		}
	}
	if line := firstLine(e.Body); line != "" {
		fmt.Fprintf(&b, ": %q", line)
	}
	if advice := e.Advice(); advice != "" {
		b.WriteString("; " + advice)
	}
	return b.String()
}

// HandshakeError is returned by Dial when the answer claims to open a
// WebSocket but does not prove it, or is not HTTP at all.
type HandshakeError struct {
	Target string      // the URL without user and password
	Reason string      // what was wrong
	Header http.Header // of the answer; nil if there was none
	Err    error       // the cause, or nil
}

func (e *HandshakeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wsconn: upgrade at %s: %s", e.Target, e.Reason)
	if s := e.Header.Get("Server"); s != "" {
		fmt.Fprintf(&b, " (Server: %s)", clip(s, 80))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *HandshakeError) Unwrap() error { return e.Err }

// errPeerClosed is returned by Write once the peer has sent its Close frame.
var errPeerClosed = fmt.Errorf("wsconn: write after the peer closed: %w", io.ErrClosedPipe)

// errSilent is returned by Read when Config.SilenceTimeout passed.
var errSilent = fmt.Errorf("wsconn: nothing heard from the peer: %w", io.ErrUnexpectedEOF)

// isTimeout reports whether err came from a deadline, so that the connection
// lives on.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// tag is a tag, comment or declaration of HTML.
var tag = regexp.MustCompile(`<[^>]*>`)

// firstLine returns the first line of s that has text beside HTML tags, clipped.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(tag.ReplaceAllString(line, " ")); line != "" {
			return clip(line, 120)
		}
	}
	return ""
}

// values returns the fields of a header in one line of bounded length. A list
// of challenges can take several fields, some of them with long tokens.
func values(h http.Header, key string) string {
	fields := slices.Clone(h.Values(key))
	if len(fields) > 1 {
		for i := range fields {
			fields[i] = clip(fields[i], 40)
		}
	}
	return clip(joinTokens(fields), 120)
}

// clip shortens s to at most n bytes of valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
