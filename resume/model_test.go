package resume

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/wsconn"
)

// TestModel compares the stream with a plain pipe, in virtual time, while its
// carriers are slow, cut in mid-frame and replaced in every order.
func TestModel(t *testing.T) {
	seeds := uint64(120)
	if testing.Short() {
		seeds = 20
	}
	first := uint64(0)
	if s := os.Getenv("MODEL_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	for seed := first; seed < first+seeds; seed++ {
		for name, websocket := range map[string]bool{"framed": false, "websocket": true} {
			ok := t.Run(name+" seed "+strconv.FormatUint(seed, 10), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { newModel(t, seed, websocket).run() })
			})
			if !ok {
				return
			}
		}
	}
}

// model is a client and a server, and a network that does its worst.
type model struct {
	*testing.T

	websocket      bool
	client, server *Conn

	mu    sync.Mutex
	rng   *rand.Rand
	pairs [][2]net.Conn // that were not cut
	calm  bool          // the network behaves
	late  sync.WaitGroup
}

func newModel(t *testing.T, seed uint64, websocket bool) *model {
	m := &model{T: t, websocket: websocket, rng: rand.New(rand.NewPCG(seed, 1))}
	cfg := &Config{Buffer: []int{1, 20 << 10, 64 << 10, 1 << 20}[seed%4]}
	if seed%3 == 0 {
		cfg.AckDelay = time.Millisecond // many acknowledgements ride
	}
	m.server = New(cfg, nil)
	m.client = New(cfg, m.dial)
	a := m.client.Prepare()
	carrier, received, err := m.connect(a, a.Attempt(), a.Offset())
	if err == nil {
		err = a.Attach(carrier, received)
	}
	if err != nil {
		t.Fatalf("got %v from the first carrier, want nil", err)
	}
	return m
}

// roll returns a number below n.
func (m *model) roll(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(n)
}

// sleep sleeps up to d.
func (m *model) sleep(d time.Duration) { <-time.After(time.Duration(m.roll(int(d))) + 1) }

// dial fails in all the ways in which a dial can.
func (m *model) dial(_ context.Context, a *Attachment) (Carrier, uint64, error) {
	attempt := a.Attempt()
	m.sleep(30 * time.Millisecond)
	offset := a.Offset()
	how := m.roll(10)
	m.mu.Lock()
	calm := m.calm
	m.mu.Unlock()
	switch {
	case calm:
	case how == 0:
		return nil, 0, errors.New("no way")
	case how == 1: // the answer is lost
		if c, _, err := m.connect(a, attempt, offset); err == nil {
			c.Close()
		}
		return nil, 0, errors.New("the answer was lost")
	case how == 2: // the request arrives late, perhaps after the next one
		m.late.Go(func() {
			m.sleep(400 * time.Millisecond)
			if c, _, err := m.connect(a, attempt, offset); err == nil {
				c.Close()
			}
		})
		return nil, 0, errors.New("the request got lost")
	}
	m.sleep(10 * time.Millisecond) // the request takes its time
	c, received, err := m.connect(a, attempt, offset)
	m.sleep(10 * time.Millisecond) // so does the answer
	var refused *RefusedError
	if errors.As(err, &refused) && strings.HasPrefix(refused.Reason, "attempt") {
		return nil, 0, errors.New(err.Error()) // a late request was first: try again
	}
	return c, received, err
}

// connect has the server take a request, and returns the client's carrier.
func (m *model) connect(a *Attachment, attempt, offset uint64) (Carrier, uint64, error) {
	sa, err := m.server.prepareAs(Request{Attempt: attempt, Offset: offset})
	if err != nil {
		return nil, 0, err
	}
	cc, sc := net.Pipe()
	m.mu.Lock()
	m.pairs = append(m.pairs, [2]net.Conn{cc, sc})
	m.mu.Unlock()
	received := sa.Offset()
	err = sa.Attach(m.carrier(&slow{Conn: sc, model: m}, sa.OnText, false), offset)
	if err != nil {
		cc.Close()
		return nil, 0, err
	}
	return m.carrier(&slow{Conn: cc, model: m}, a.OnText, true), received, nil
}

func (m *model) carrier(c net.Conn, onText func([]byte), client bool) Carrier {
	if !m.websocket {
		return newFramed(c, onText)
	}
	cfg := &wsconn.Config{OnText: onText, PingInterval: -1}
	if client {
		return wsconn.Client(c, cfg)
	}
	return wsconn.Server(c, cfg)
}

// slow is a connection that takes what is written in pieces, with pauses.
type slow struct {
	net.Conn

	model *model
}

func (s *slow) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		k := len(p)
		if s.model.roll(4) == 0 {
			k = 1 + s.model.roll(k)
			s.model.sleep(3 * time.Millisecond)
		}
		var m int
		m, err = s.Conn.Write(p[:k])
		n += m
		p = p[k:]
	}
	return n, err
}

// disturb cuts one or both directions of what there is, or asks for a new
// carrier, until the end.
func (m *model) disturb(end <-chan struct{}) {
	for {
		m.sleep(40 * time.Millisecond)
		how := m.roll(4)
		m.mu.Lock()
		for _, p := range m.pairs {
			switch how {
			case 0:
				p[0].Close()
			case 1:
				p[1].Close()
			case 2:
				p[0].Close()
				p[1].Close()
			}
		}
		if how < 3 {
			m.pairs = nil
		}
		m.mu.Unlock()
		if how == 3 {
			[]*Conn{m.client, m.server}[m.roll(2)].Drain()
		}
		select {
		case <-end:
			m.mu.Lock()
			m.calm = true
			m.mu.Unlock()
			return
		default:
		}
	}
}

// run sends bytes both ways at once and compares them.
func (m *model) run() {
	end := make(chan struct{})
	var disturbance, work sync.WaitGroup
	disturbance.Go(func() { m.disturb(end) })
	first := m.roll(2) // closes when it has sent everything
	for i, pair := range [][2]*Conn{{m.client, m.server}, {m.server, m.client}} {
		data := make([]byte, 20_000+m.roll(400_000))
		key := [32]byte{byte(m.roll(256)), byte(i)}
		_, _ = rand.NewChaCha8(key).Read(data)
		work.Go(func() { m.send(pair[0], data) })
		work.Go(func() { m.receive(pair[1], data) })
	}
	work.Wait()
	m.closeBoth(first)
	close(end)
	disturbance.Wait()
	for name, c := range map[string]*Conn{"client": m.client, "server": m.server} {
		select {
		case <-c.Done():
		case <-time.After(5 * time.Minute):
			m.Errorf("the %s's side has not ended", name)
		}
		c.Abort()
		if c.out.used != 0 {
			m.Errorf("the %s's side holds %d bytes of blocks after its end, want 0", name, c.out.used)
		}
	}
	m.late.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pairs {
		p[0].Close()
		p[1].Close()
	}
}

func (m *model) send(c *Conn, data []byte) {
	for len(data) > 0 {
		n := min(len(data), 1+m.roll([]int{40, 3000, 30_000}[m.roll(3)]))
		k, err := c.WriteBuffers(net.Buffers{data[:n/3], data[n/3 : n]})
		if err != nil || int(k) != n {
			m.Errorf("got %d, %v from a Write of %d bytes, want all", k, err, n)
			return
		}
		data = data[n:]
		if m.roll(3) == 0 {
			m.sleep(5 * time.Millisecond)
		}
	}
}

func (m *model) receive(c *Conn, want []byte) {
	for at := 0; at < len(want); {
		buf := make([]byte, 1+m.roll(20_000))
		got, err := c.ReadBuffer(buf)
		if at+len(got) > len(want) || !bytes.Equal(got, want[at:at+len(got)]) {
			m.Errorf("got other bytes than were sent at offset %d of %d", at, len(want))
			return
		}
		at += len(got)
		if err != nil {
			m.Errorf("got %v at offset %d of %d", err, at, len(want))
			return
		}
		if m.roll(5) == 0 {
			m.sleep(20 * time.Millisecond)
		}
	}
}

// closeBoth closes one side, and the other when it has seen that.
func (m *model) closeBoth(first int) {
	a, b := m.client, m.server
	if first == 1 {
		a, b = b, a
	}
	a.Close()
	if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		m.Errorf("got %d, %v after the peer's Close, want 0, EOF", n, err)
	}
	b.Close()
}
