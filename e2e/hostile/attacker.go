package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// atMost ends an attack that nobody stops.
const atMost = 2 * time.Minute

// An order says what to attack, and how.
type order struct {
	Attack string
	Addr   string
	Root   []byte // the server's certificate
	Smoke  bool   // a small attack
}

// stop is what ends the attack. The answer to it is an account.
type stop struct{}

// An attack is one way to harm a server. run goes on until ctx ends, after
// which whatever it has opened is closed.
type attack struct {
	name, does string
	run        func(context.Context, *target)
}

// attacks returns all attacks, in the order in which they are made.
func attacks() []attack {
	return []attack{
		{"control", "burns all processors and leaves the server alone", burn},
		{"slow-handshakes", "5,000 connections that send nothing, a ClientHello or a request a byte a second", slowHandshakes},
		{"silent-http2", "3,000 connections that say that they speak HTTP/2, and no more", silentPrefaces},
		{"ws-pings", "WebSocket PINGs, empty PONGs and texts of resumption without end", wsPings},
		{"mux-pings", "yamux pings without end, the answers read or not", muxPings},
		{"stream-flood", "yamux SYNs without end", streamFlood},
		{"rapid-reset", "yamux SYN and RST without end", rapidReset},
		{"idle-streams", "as many streams as a tunnel takes, with a gRPC connection on each that does nothing", idleStreams},
		{"window-violations", "more data than the window, windows of 2^32, data after FIN", windowViolations},
		{"unknown-streams", "small data frames and window updates for streams that do not exist", unknownStreams},
		{"huge-frames", "frames declared 2^63 long, and of 2^32-1 in yamux, followed by a trickle", hugeFrames},
		{"unread", "server streaming RPCs that nobody reads", unread},
		{"unread-windows", "answers not read, and the window of every stream filled", unreadWindows},
		{"half-closed", "sockets shut down for writing after the 101", halfClosed},
		{"garbage", "random bytes, frames and yamux headers after the 101", garbage},
		{"resume-guessing", "requests to resume random sessions, and another principal's", resumeGuessing},
		{"reconnects", "a thousand new tunnels a second", reconnects},
		{"abandoned", "tunnels that can be resumed, cut and not resumed, empty or with megabytes unread", abandoned},
		{"detached-streams", "tunnels with 256 gRPC connections each, cut and not resumed", detachedStreams},
		{"evictions", "tunnels under many names, opened and closed, while others' are without a connection", evictions},
		{"resume-flood", "one session resumed as often as it can be", resumeFlood},
	}
}

// assail is the process of the attacker: it does what the order on in says until
// it is stopped or in ends.
func assail(in io.Reader, out io.Writer) error {
	enc, dec := json.NewEncoder(out), json.NewDecoder(in)
	var o order
	if err := dec.Decode(&o); err != nil {
		return ignoreEOF(err)
	}
	var a attack
	for _, a = range attacks() {
		if a.name == o.Attack {
			break
		}
	}
	if a.name != o.Attack {
		return fmt.Errorf("no attack is called %q", o.Attack)
	}
	trust, err := trusting(o.Root)
	if err != nil {
		return err
	}
	if err := enc.Encode(true); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), atMost)
	defer cancel()
	t := &target{addr: o.Addr, trust: trust, small: o.Smoke, dials: make(chan struct{}, dialsAtOnce)}
	t.tls = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} // an attacker does not care
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.run(ctx, t)
	}()
	if err := dec.Decode(&stop{}); err != nil {
		return ignoreEOF(err)
	}
	did := t.account()
	cancel()
	select {
	case <-ended:
	case <-time.After(answerTimeout / 2):
		did.Broken = append(did.Broken, "the attack does not end: an error of this program")
	}
	return enc.Encode(did)
}
