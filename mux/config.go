package mux

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/hashicorp/yamux"
)

// Defaults of Config.
const (
	defaultMaxStreams    = 256
	defaultAcceptBacklog = 256
	defaultStreamWindow  = 4 << 20
	minStreamWindow      = 256 << 10 // yamux: the window that a stream begins with
	defaultWriteTimeout  = 150 * time.Second
	defaultCloseTimeout  = 10 * time.Second
)

// Config holds what a Session can be told. A nil *Config and the zero value
// mean the defaults that each field names. A Config may be shared and must not
// be changed once it is in use.
type Config struct {
	// MaxStreams is how many streams the peer may have open at a time; one
	// more is accepted and closed at once. 0 means 256.
	MaxStreams int

	// AcceptBacklog is how many streams wait for Accept; one more is closed
	// at once. 0 means 256.
	AcceptBacklog int

	// StreamWindow is how many bytes of one stream are received before they
	// are read. It bounds the throughput of a stream to one window for each
	// round trip, and the memory that a reader who stopped reading costs.
	// 0 means 4 MiB; the least is 256 KiB.
	StreamWindow int

	// WriteTimeout is how long the connection beneath may take for one
	// write. After it the session ends: it must exceed the time for which
	// the connection may stand still. 0 means 150 s.
	WriteTimeout time.Duration

	// CloseTimeout is how long a closed stream waits for the peer to close
	// it too before the peer is told that it is gone. 0 means 10 s.
	CloseTimeout time.Duration

	// Logger receives what the peer did wrong. Nil means silence.
	Logger *slog.Logger
}

// withDefaults returns a copy of c in which every zero field has its default.
func (c *Config) withDefaults() (Config, error) {
	var r Config
	if c != nil {
		r = *c
	}
	setDefault(&r.MaxStreams, defaultMaxStreams)
	setDefault(&r.AcceptBacklog, defaultAcceptBacklog)
	setDefault(&r.StreamWindow, defaultStreamWindow)
	setDefault(&r.WriteTimeout, defaultWriteTimeout)
	setDefault(&r.CloseTimeout, defaultCloseTimeout)
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	if r.MaxStreams < 0 || r.AcceptBacklog < 0 || r.WriteTimeout < 0 || r.CloseTimeout < 0 {
		return r, fmt.Errorf("mux: a limit in Config is negative")
	}
	if r.StreamWindow < minStreamWindow || r.StreamWindow > math.MaxInt32 {
		return r, fmt.Errorf("mux: Config.StreamWindow is %d, want 256 KiB to 2 GiB", r.StreamWindow)
	}
	return r, nil
}

// yamux returns c in yamux's terms. Its keepalive is off, since its pings
// queue behind data, and so is its StreamOpenTimeout, which would end the
// session when one stream is not accepted.
func (c *Config) yamux() *yamux.Config {
	y := yamux.DefaultConfig()
	y.AcceptBacklog = c.AcceptBacklog
	y.EnableKeepAlive = false
	y.ConnectionWriteTimeout = c.WriteTimeout
	y.MaxStreamWindowSize = uint32(c.StreamWindow) //nolint:gosec // checked by withDefaults
	y.StreamOpenTimeout = 0
	y.StreamCloseTimeout = c.CloseTimeout
	y.LogOutput = nil
	y.Logger = yamuxLogger{c.Logger}
	return y
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// yamuxLogger passes yamux's log lines on to slog.
type yamuxLogger struct{ log *slog.Logger }

// Printf implements yamux.Logger. Lines begin with a level in brackets.
func (l yamuxLogger) Printf(format string, v ...any) { l.Print(fmt.Sprintf(format, v...)) }

// Println implements yamux.Logger.
func (l yamuxLogger) Println(v ...any) { l.Print(fmt.Sprintln(v...)) }

// Print implements yamux.Logger.
func (l yamuxLogger) Print(v ...any) {
	line := strings.TrimSpace(fmt.Sprint(v...))
	level := slog.LevelDebug
	if rest, ok := strings.CutPrefix(line, "[ERR] "); ok {
		line, level = rest, slog.LevelWarn
	}
	line = strings.TrimPrefix(line, "[WARN] ")
	l.log.Log(context.Background(), level, "mux: "+strings.TrimPrefix(line, "yamux: "))
}

var _ yamux.Logger = yamuxLogger{}
