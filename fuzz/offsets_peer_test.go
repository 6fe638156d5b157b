package fuzz

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/resume"
	"culvert/wsconn"
)

// streamByte is the byte at an offset of a stream; streams differ in salt.
func streamByte(salt byte, offset int) byte { return salt ^ byte(offset*31>>4) ^ byte(offset) }

// streamBytes returns n bytes of a stream from an offset on.
func streamBytes(salt byte, offset, n int) []byte {
	b := make([]byte, max(n, 0))
	for i := range b {
		b[i] = streamByte(salt, offset+i)
	}
	return b
}

// checkStream checks that b is a stream from an offset on.
func checkStream(t *testing.T, who string, salt byte, offset int, b []byte) {
	t.Helper()
	for i, c := range b {
		if c != streamByte(salt, offset+i) {
			t.Fatalf("%s: got another byte than was written, at offset %d", who, offset+i)
		}
	}
}

// carrierPeer is the client's end of one WebSocket of a session.
type carrierPeer struct {
	conn *wsconn.Conn
	base int // offset in the server's stream of what comes first
	pos  int // offset in the client's stream of what is sent next
	seen int // how many acknowledgements were checked

	mu    sync.Mutex
	data  []byte
	texts []string
	err   error
}

// attach connects a new WebSocket to a, for a client that has received base
// bytes.
func attach(t *testing.T, a *resume.Attachment, base int) (*carrierPeer, error) {
	t.Helper()
	near, far := net.Pipe()
	p := &carrierPeer{base: base, pos: int(a.Offset())}
	cfg := &wsconn.Config{ControlBurst: 1 << 30}
	err := a.Attach(wsconn.Server(far, cfg.WithTexts(a.OnText)), uint64(base))
	if err != nil {
		_ = near.Close()
		return nil, err
	}
	p.conn = wsconn.Client(near, cfg.WithTexts(func(text []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.texts = append(p.texts, string(text))
	}))
	go p.read()
	synctest.Wait()
	return p, nil
}

func (p *carrierPeer) read() {
	for b := make([]byte, 1000); ; {
		n, err := p.conn.Read(b)
		p.mu.Lock()
		p.data = append(p.data, b[:n]...)
		p.err = err
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// send sends n bytes of the client's stream.
func (p *carrierPeer) send(n int) error {
	_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
	m, err := p.conn.Write(streamBytes('c', p.pos, n))
	p.pos += m
	synctest.Wait()
	return err
}

func (p *carrierPeer) say(text string) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = p.conn.WriteText([]byte(text)) // may cross the server's Close
	synctest.Wait()
}

func (p *carrierPeer) sayf(format string, args ...any) { p.say(fmt.Sprintf(format, args...)) }

// received returns how many bytes of the server's stream the client has.
func (p *carrierPeer) received() int { return p.base + len(p.data) }

// acks returns the offsets that the server acknowledged on this WebSocket.
func (p *carrierPeer) acks(t *testing.T) (all []int) {
	t.Helper()
	for _, text := range p.texts {
		if digits, ok := strings.CutPrefix(text, "ack "); ok {
			n, err := strconv.Atoi(digits)
			if err != nil {
				t.Fatalf("got the text %q", text)
			}
			all = append(all, n)
		}
	}
	return all
}
