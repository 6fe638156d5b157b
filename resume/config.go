package resume

import (
	"cmp"
	"context"
	"time"
)

// Defaults of Config.
const (
	defaultBuffer           = 4 << 20
	defaultMaxBuffer        = 32 << 20
	defaultAckDelay         = 50 * time.Millisecond
	defaultWindow           = 2 * time.Minute
	defaultPingInterval     = 20 * time.Second
	defaultSilenceTimeout   = 45 * time.Second
	defaultFirstByteTimeout = 5 * time.Second
)

// Config holds what a Conn can be told. A nil *Config and the zero value mean
// the defaults that each field names. A Config may be shared and must not be
// changed once it is in use.
type Config struct {
	// Buffer bounds what is kept of the bytes that were written and that
	// the peer has not acknowledged. A Write waits when it is full. The
	// memory comes in pooled blocks of 2, 16 and 128 KiB; a Conn on which
	// everything is acknowledged has none. On a way so long that no more than
	// Buffer is under way all the time, the bound doubles, up to MaxBuffer.
	// 0 means 4 MiB and 32 MiB, the windows of a stream of mux, so that these
	// are not the narrower ones.
	Buffer    int
	MaxBuffer int

	// AckDelay is how long received bytes may wait to be acknowledged when
	// there are too few of them, less than an eighth of Buffer. Less than
	// 4 KiB wait 16 times as long, in the second half of that for anything to
	// be sent together with. 0 means 50 ms.
	AckDelay time.Duration

	// Window is how long a stream may be without a carrier before it is
	// lost. A client's begins with the end of the latest carrier that was of
	// use: it lasted for 10 s, or moved the stream. 0 means 2 min.
	Window time.Duration

	// PingInterval is how long a Read that waits hears nothing before the
	// peer is asked for a sign of life, and SilenceTimeout when the carrier
	// counts as cut. 0 means 20 s and 45 s; a negative PingInterval means
	// neither. A server waits an eighth longer before it asks: as a rule the
	// client has asked then.
	PingInterval   time.Duration
	SilenceTimeout time.Duration

	// FirstByteTimeout is how long the first byte on a new carrier may take:
	// there are proxies that relay an answer to an upgrade and then nothing.
	// 0 means 5 s.
	FirstByteTimeout time.Duration

	// Budget, if not nil, bounds the memory of all Conns that share it.
	Budget *Budget

	// Observe has hooks. Nil means none.
	Observe *Observer
}

// Observer is a set of hooks, any of which may be nil. They hold up the Conn
// and must not call it.
type Observer struct {
	// Cut is called when a carrier ended, because of err, and the stream is
	// without one.
	Cut func(err error)

	// Resumed is called when the stream has a new carrier: after how long
	// without one, 0 if it took over from a working one, and with how many
	// bytes to be sent again.
	Resumed func(after time.Duration, replayed int64)

	// Useless is called when a client's carrier ended that was of no use, the
	// nth in a row: it was accepted, ended within 10 s, and had moved the stream
	// by nothing. err is a *UselessError.
	Useless func(n int, err error)

	// Lost is called when the stream ended since it got no new carrier.
	Lost func(err error)
}

// Dial gets a new carrier for a client's Conn, and how many bytes the peer says
// that it has received. The request has to carry a.Attempt and a.Offset, and
// texts of the carrier have to go to a.OnText. An error that is a *RefusedError
// ends the stream, and so does a *RetryError if it goes on; any other leads to
// another attempt.
type Dial func(ctx context.Context, a *Attachment) (c Carrier, received uint64, err error)

// withDefaults returns a copy of c in which every zero field has its default.
func (c *Config) withDefaults() Config {
	var r Config
	if c != nil {
		r = *c
	}
	r.Buffer = cmp.Or(r.Buffer, defaultBuffer)
	r.MaxBuffer = cmp.Or(r.MaxBuffer, max(defaultMaxBuffer, r.Buffer))
	r.AckDelay = cmp.Or(r.AckDelay, defaultAckDelay)
	r.Window = cmp.Or(r.Window, defaultWindow)
	r.PingInterval = cmp.Or(r.PingInterval, defaultPingInterval)
	r.SilenceTimeout = cmp.Or(r.SilenceTimeout, defaultSilenceTimeout)
	r.FirstByteTimeout = cmp.Or(r.FirstByteTimeout, defaultFirstByteTimeout)
	if r.Observe == nil {
		r.Observe = &Observer{}
	}
	return r
}

// WithHeartbeat returns a copy of c, which may be nil, in which pings and
// silence take the place of a PingInterval and a SilenceTimeout that are zero.
func (c *Config) WithHeartbeat(pings, silence time.Duration) *Config {
	var r Config
	if c != nil {
		r = *c
	}
	r.PingInterval = cmp.Or(r.PingInterval, pings)
	r.SilenceTimeout = cmp.Or(r.SilenceTimeout, silence)
	return &r
}

func (o *Observer) cut(err error) {
	if o.Cut != nil {
		o.Cut(err)
	}
}

func (o *Observer) resumed(after time.Duration, replayed int64) {
	if o.Resumed != nil {
		o.Resumed(after, replayed)
	}
}

func (o *Observer) useless(n int, err error) {
	if o.Useless != nil {
		o.Useless(n, err)
	}
}

func (o *Observer) lost(err error) {
	if o.Lost != nil {
		o.Lost(err)
	}
}
