package resume

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"culvert/internal/testnet"
)

// framed is a Carrier made of a net.Conn: one byte of kind and two of length
// before each piece of at most 32 KiB.
type framed struct {
	net.Conn

	onText func([]byte)

	wlock chan struct{} // not a Mutex: synctest's time stands still while one is waited for
	rides atomic.Int32  // calls of WriteAfterText
	head  [3]byte
	nhead int
	left  int
	text  []byte
}

func newFramed(c net.Conn, onText func([]byte)) *framed {
	return &framed{Conn: c, onText: onText, wlock: make(chan struct{}, 1)}
}

func (f *framed) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		piece := p[:min(len(p), 32<<10)]
		if err = f.write(appendPiece(nil, 0, piece)); err == nil {
			n += len(piece)
		}
		p = p[len(piece):]
	}
	return n, err
}

func (f *framed) WriteText(text []byte) error { return f.write(appendPiece(nil, 1, text)) }

func (f *framed) WriteAfterText(text, p []byte) (int, error) {
	f.rides.Add(1)
	return len(p), f.write(appendPiece(appendPiece(nil, 1, text), 0, p))
}

func (f *framed) write(b []byte) error {
	f.wlock <- struct{}{}
	defer func() { <-f.wlock }()
	_, err := f.Conn.Write(b)
	return err
}

func appendPiece(b []byte, kind byte, p []byte) []byte {
	return append(binary.BigEndian.AppendUint16(append(b, kind), uint16(len(p))), p...)
}

func (f *framed) Read(p []byte) (int, error) {
	for {
		if f.nhead < len(f.head) {
			n, err := f.Conn.Read(f.head[f.nhead:])
			f.nhead += n
			f.left = int(binary.BigEndian.Uint16(f.head[1:]))
			if err != nil {
				return 0, err
			}
			continue
		}
		if f.left == 0 {
			f.nhead = 0
			if f.head[0] == 1 {
				f.onText(f.text)
				f.text = nil
			}
			continue
		}
		b := p[:min(len(p), f.left)]
		if f.head[0] == 1 {
			b = make([]byte, f.left)
		}
		n, err := f.Conn.Read(b)
		f.left -= n
		if f.head[0] == 1 {
			f.text = append(f.text, b[:n]...)
			n = 0
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// world is a client's and a server's Conn, and what carries them.
type world struct {
	kind           string
	client, server *Conn
	made           chan struct{} // gets one when there is a new carrier

	mu      sync.Mutex
	carrier [2]net.Conn // beneath the latest
	refuse  error       // what dials get
	dials   int
	closed  bool
	mute    bool                                             // texts to the client get lost
	pings   int                                              // that the client was sent
	around  func(Dial, *Attachment) (Carrier, uint64, error) // if not nil, in the place of dial
}

func newWorld(tb testing.TB, kind string, client, server *Config) *world {
	tb.Helper()
	w := &world{kind: kind, server: New(server, nil), made: make(chan struct{}, 1)}
	w.client = New(client, func(ctx context.Context, a *Attachment) (Carrier, uint64, error) {
		w.mu.Lock()
		around := w.around
		w.mu.Unlock()
		if around != nil {
			return around(w.dial, a)
		}
		return w.dial(ctx, a)
	})
	a := w.client.Prepare()
	carrier, n, err := w.dial(tb.Context(), a)
	if err == nil {
		err = a.Attach(carrier, n)
	}
	if err != nil {
		tb.Fatalf("got %v from the first carrier, want nil", err)
	}
	return w
}

// dial is the client's Dial: it makes a connection and has the server take it.
func (w *world) dial(ctx context.Context, a *Attachment) (Carrier, uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials++
	switch {
	case w.refuse != nil:
		return nil, 0, w.refuse
	case w.closed:
		return nil, 0, errors.New("the world has ended")
	}
	cc, sc, err := testnet.Pair(w.kind)
	if err != nil {
		return nil, 0, err
	}
	return w.connect(a, cc, sc)
}

// connect lets the server take sc, for the request of a.
func (w *world) connect(a *Attachment, cc, sc net.Conn) (Carrier, uint64, error) {
	sa, err := w.server.prepareAs(Request{Attempt: a.Attempt(), Offset: a.Offset()})
	if err == nil {
		err = sa.Attach(newFramed(sc, sa.OnText), a.Offset())
	}
	if err != nil {
		cc.Close()
		sc.Close()
		return nil, 0, err
	}
	w.carrier = [2]net.Conn{cc, sc}
	select {
	case w.made <- struct{}{}:
	default:
	}
	return newFramed(cc, func(text []byte) {
		w.mu.Lock()
		mute := w.mute
		if string(text) == "ping" {
			w.pings++
		}
		w.mu.Unlock()
		if !mute {
			a.OnText(text)
		}
	}), sa.Offset(), nil
}

// set changes fields of w.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// cut cuts the present carrier.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.carrier {
		c.Close()
	}
}

// cutting cuts each carrier when it has lived for up to twice as long as life, until
// stop is called. A life begins when the carrier is made: where handshakes take long,
// a beat of its own could cut one carrier after the other at its birth.
func (w *world) cutting(life time.Duration) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(rand.N(2 * life))
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
				w.cut()
			case <-w.made:
				timer.Reset(rand.N(2 * life))
			case <-end:
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// end ends both sides.
func (w *world) end() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.client.Abort()
	w.server.Abort()
}

var _ io.ReadWriter = (*framed)(nil)
