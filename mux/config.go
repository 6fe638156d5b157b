package mux

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"
)

// Defaults of Config.
const (
	defaultMaxStreams      = 256
	defaultAcceptBacklog   = 256
	defaultStreamWindow    = 4 << 20
	defaultMaxStreamWindow = 32 << 20
	defaultSessionWindow   = 64 << 20
	defaultCloseTimeout    = 10 * time.Second
)

// Config holds what a Session can be told. A nil *Config and the zero value
// mean the defaults that each field names. A Config may be shared and must not
// be changed once it is in use.
type Config struct {
	// MaxStreams is how many streams the peer may have open at a time; one
	// more is reset at once. 0 means 256.
	MaxStreams int

	// AcceptBacklog is how many streams wait for Accept; one more is reset
	// at once. 0 means 256.
	AcceptBacklog int

	// StreamWindow is how many bytes of one stream are received before they
	// are read, to begin with. The window bounds the throughput of a stream
	// to as much for each round trip, so it doubles, up to MaxStreamWindow,
	// whenever that much was read and the reader keeps up. 0 means 4 MiB and
	// 32 MiB; the least is 256 KiB.
	StreamWindow    int
	MaxStreamWindow int

	// SessionWindow bounds the windows of all streams together, beyond the
	// 256 KiB that yamux gives each: with MaxStreams it bounds the memory
	// that streams cost which are not read. No stream is given more than half
	// of what is left. 0 means 64 MiB; a negative one means none.
	SessionWindow int

	// Budget, if not nil, bounds what all sessions that share it hold of data
	// that came and was not read.
	Budget *Budget

	// CloseTimeout is how long a closed stream waits for the peer to close
	// it too before it is reset. 0 means 10 s.
	CloseTimeout time.Duration

	// FirstStream says that stream 1, the client's first, is open on both
	// sides from the start: they agreed on it before the session began, such
	// as in the headers of an upgrade. The server's Accept returns it at
	// once, and what the server writes need not wait for the client; the
	// client's first Open returns it, unless the server has closed it by
	// then. Shutdown of either side resets it if the client has not opened it.
	FirstStream bool

	// Handle, if not nil, gets the streams that the peer opens, one after the
	// other, in the place of Accept: a session that waits for streams takes
	// no goroutine then. Close waits for it to return.
	Handle func(*Session, net.Conn)

	// Ended, if not nil, is called once, in a goroutine of its own, when the
	// session has ended.
	Ended func(*Session)

	// Logger receives what the peer did wrong. Nil means silence.
	Logger *slog.Logger
}

// withDefaults returns a copy of c in which every zero field has its default.
func (c *Config) withDefaults() (Config, error) {
	var r Config
	if c != nil {
		r = *c
	}
	r.MaxStreams = cmp.Or(r.MaxStreams, defaultMaxStreams)
	r.AcceptBacklog = cmp.Or(r.AcceptBacklog, defaultAcceptBacklog)
	r.StreamWindow = cmp.Or(r.StreamWindow, defaultStreamWindow)
	r.MaxStreamWindow = cmp.Or(r.MaxStreamWindow, max(defaultMaxStreamWindow, r.StreamWindow))
	r.SessionWindow = cmp.Or(r.SessionWindow, defaultSessionWindow)
	r.CloseTimeout = cmp.Or(r.CloseTimeout, defaultCloseTimeout)
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	if r.MaxStreams < 0 || r.AcceptBacklog < 0 || r.CloseTimeout < 0 {
		return r, errors.New("mux: a limit in Config is negative")
	}
	if r.StreamWindow < initialWindow || r.MaxStreamWindow < r.StreamWindow || r.MaxStreamWindow > math.MaxInt32 {
		return r, fmt.Errorf("mux: Config.StreamWindow is %d and MaxStreamWindow %d, want 256 KiB to 2 GiB, in that order",
			r.StreamWindow, r.MaxStreamWindow)
	}
	return r, nil
}
