package wsconn

import (
	"cmp"
	"time"
)

// Defaults of Config.
const (
	defaultMaxFrame        = 128 << 10
	defaultMaxText         = 4 << 10
	defaultPingInterval    = 20 * time.Second
	defaultSilenceTimeout  = 45 * time.Second
	defaultControlBurst    = 64
	defaultControlInterval = 16 * time.Millisecond
	defaultCloseTimeout    = 250 * time.Millisecond
)

// Config holds what both roles of a Conn can be told. A nil *Config and the
// zero value mean the defaults that each field names. A Config may be shared
// and must not be changed once it is in use.
type Config struct {
	// MaxFrame is the largest payload, in bytes, of a frame that Write
	// sends. A longer Write becomes several frames. 0 and less mean
	// 128 KiB.
	MaxFrame int

	// OnText receives each text message. It runs on the goroutine that
	// calls Read, must not block, and must not keep text. Nil refuses text
	// messages with close code 1003: they are not part of the byte stream.
	OnText func(text []byte)

	// MaxText is the longest text message accepted, in bytes; a longer one
	// closes the connection with code 1009. 0 means 4 KiB.
	MaxText int

	// PingInterval is how long a blocked Read hears nothing before a PING
	// is sent. 0 means 20 s; a negative value sends none and gives up on no
	// peer, however silent.
	PingInterval time.Duration

	// SilenceTimeout is how long a blocked Read hears nothing, not even a
	// PONG, before the peer counts as lost. 0 means 45 s.
	SilenceTimeout time.Duration

	// ControlBurst is how many control frames a peer may send at once, and
	// ControlInterval the time after which it may send one more. A peer
	// above the rate is closed with code 1008. 0 means 64 and 16 ms.
	ControlBurst    int
	ControlInterval time.Duration

	// CloseTimeout bounds how long Close waits for a Write in flight and
	// for its Close frame to leave. 0 means 250 ms.
	CloseTimeout time.Duration
}

// withDefaults returns a copy of c in which every zero field has its default.
func (c *Config) withDefaults() Config {
	var r Config
	if c != nil {
		r = *c
	}
	r.MaxFrame = cmp.Or(r.MaxFrame, defaultMaxFrame)
	r.MaxText = cmp.Or(r.MaxText, defaultMaxText)
	r.PingInterval = cmp.Or(r.PingInterval, defaultPingInterval)
	r.SilenceTimeout = cmp.Or(r.SilenceTimeout, defaultSilenceTimeout)
	r.ControlBurst = cmp.Or(r.ControlBurst, defaultControlBurst)
	r.ControlInterval = cmp.Or(r.ControlInterval, defaultControlInterval)
	r.CloseTimeout = cmp.Or(r.CloseTimeout, defaultCloseTimeout)
	return r
}

// WithTexts returns a copy of c, which may be nil, for a connection whose texts
// go to onText and that leaves the heartbeat to them.
func (c *Config) WithTexts(onText func(text []byte)) *Config {
	var r Config
	if c != nil {
		r = *c
	}
	r.OnText, r.PingInterval = onText, -1
	return &r
}
