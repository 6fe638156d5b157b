package listener_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"culvert/listener"
	"culvert/resume"
)

// client is a client by hand, whose every word is written down.
type client struct {
	*testing.T

	conn net.Conn
	rd   *bufio.Reader
	log  *bytes.Buffer
}

// dial sends an upgrade request with more header lines and reads the 101.
func (c *client) dial(l net.Listener, more string) http.Header {
	c.Helper()
	var err error
	if c.conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { c.conn.Close() })
	c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	c.rd = bufio.NewReader(c.conn)
	c.write("C", upgrade+more+"\r\n")
	io.WriteString(c.conn, upgrade+more+"\r\n")
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := c.rd.ReadString('\n')
		if err != nil {
			c.Fatal(err)
		}
		head.WriteString(line)
	}
	c.write("S", head.String())
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head.String())), nil)
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		c.Fatalf("got %v, %v, want a 101", r, err)
	}
	return r.Header
}

func (c *client) write(who, head string) {
	for line := range strings.Lines(head) {
		fmt.Fprintf(c.log, "%s %s\n", who, strings.TrimRight(line, "\r\n"))
	}
}

// send sends a frame.
func (c *client) send(op ws.OpCode, payload []byte) {
	c.frame("C", op, payload)
	f := ws.NewFrame(op, true, bytes.Clone(payload))
	if err := ws.WriteFrame(c.conn, ws.MaskFrameInPlace(f)); err != nil {
		c.Error(err)
	}
}

// receive reads n frames and writes down the binary ones first: texts may
// overtake them.
func (c *client) receive(n int) {
	c.Helper()
	var frames []ws.Frame
	for range n {
		f, err := ws.ReadFrame(c.rd)
		if err != nil {
			c.Fatalf("got %v, want a frame", err)
		}
		frames = append(frames, f)
	}
	for _, op := range []ws.OpCode{ws.OpBinary, ws.OpText, ws.OpClose} {
		for _, f := range frames {
			if f.Header.OpCode == op {
				c.frame("S", op, f.Payload)
			}
		}
	}
}

func (c *client) frame(who string, op ws.OpCode, payload []byte) {
	switch op {
	case ws.OpText:
		fmt.Fprintf(c.log, "%s text %s\n", who, payload)
	case ws.OpClose:
		fmt.Fprintf(c.log, "%s close %s\n", who, hex.EncodeToString(payload))
	default:
		fmt.Fprintf(c.log, "%s binary %s\n", who, hex.EncodeToString(payload))
	}
}

// TestTranscript pins what goes over the wire when a session is resumed.
func TestTranscript(t *testing.T) {
	l := listen(t, &listener.Config{Resume: &resume.Config{AckDelay: 20 * time.Millisecond}})
	c := &client{T: t, log: &bytes.Buffer{}}
	name := c.dial(l, "Culvert-Resume: 1\r\n").Get("Culvert-Session")
	ping, _ := hex.DecodeString("000200010000000000000007")
	c.send(ws.OpBinary, ping)
	c.receive(2) // the answer, and an acknowledgement
	c.send(ws.OpText, []byte("ack 4"))
	c.send(ws.OpText, []byte("ping"))
	c.receive(1)
	fmt.Fprintln(c.log, "C cuts the connection")
	c.conn.Close()
	c.dial(l, "Culvert-Session: "+name+"\r\nCulvert-Attempt: 1\r\nCulvert-Offset: 5\r\n")
	c.receive(2) // from byte 5 on, and an acknowledgement
	c.send(ws.OpText, []byte("end 12"))
	c.receive(2) // an acknowledgement of the end, and a Close frame
	got := c.log.String()
	got = strings.ReplaceAll(got, name, "<name>")
	got = regexp.MustCompile(`Culvert-Instance: .*`).ReplaceAllString(got, "Culvert-Instance: <instance>")
	const golden = "testdata/resume.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, got, want)
	}
}

// TestResumeStatus shows the status with which a request to resume is refused.
func TestResumeStatus(t *testing.T) {
	l := listen(t, &listener.Config{Authorize: func(r *http.Request) (any, error) {
		if r.Header.Get("User") == "nobody" {
			return nil, &listener.RefusedError{StatusCode: http.StatusUnauthorized}
		}
		return r.Header.Get("User"), nil
	}})
	c := &client{T: t, log: &bytes.Buffer{}}
	name := c.dial(l, "Culvert-Resume: 1\r\nUser: me\r\n").Get("Culvert-Session")
	c.send(ws.OpText, []byte("ping"))
	c.receive(1)
	fields := func(session, attempt, offset string) string {
		return "Culvert-Session: " + session + "\r\nCulvert-Attempt: " + attempt + "\r\nCulvert-Offset: " + offset + "\r\n"
	}
	for _, tt := range []struct {
		name string
		head string
		want int
	}{
		{"unknown", fields(strings.Repeat("A", len(name)), "1", "0") + "User: me\r\n", 404},
		{"short name", fields("abc", "1", "0") + "User: me\r\n", 400},
		{"garbled attempt", fields(name, "x", "0") + "User: me\r\n", 400},
		{"garbled offset", fields(name, "1", "-1") + "User: me\r\n", 400},
		{"no offset", "Culvert-Session: " + name + "\r\nCulvert-Attempt: 1\r\nUser: me\r\n", 400},
		{"two names", "Culvert-Session: a\r\n" + fields(name, "1", "0") + "User: me\r\n", 400},
		{"other principal", fields(name, "1", "0") + "User: you\r\n", 403},
		{"not authorized", fields(name, "1", "0") + "User: nobody\r\n", 401},
		{"offset not sent", fields(name, "1", "1") + "User: me\r\n", 409},
		{"old attempt", fields(name, "0", "0") + "User: me\r\n", 409},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := ask(t, l, upgrade+tt.head+"\r\n")
			if r.StatusCode != tt.want || r.Header.Get("Culvert-Instance") == "" {
				t.Errorf("got %d with instance %q, want %d with one", r.StatusCode, r.Header.Get("Culvert-Instance"), tt.want)
			}
		})
	}
	c.send(ws.OpText, []byte("ping")) // the session goes on
	c.receive(1)
}

// TestOtherServer shows that a server which does not resume says so.
func TestOtherServer(t *testing.T) {
	l := listen(t, &listener.Config{DisableResume: true})
	r := ask(t, l, upgrade+"Culvert-Session: "+strings.Repeat("A", 43)+"\r\nCulvert-Attempt: 1\r\nCulvert-Offset: 0\r\n\r\n")
	if r.StatusCode != http.StatusNotFound || r.Header.Get("Culvert-Instance") == "" {
		t.Errorf("got %d with instance %q, want 404 with one", r.StatusCode, r.Header.Get("Culvert-Instance"))
	}
}

// TestNotResumable shows who gets a tunnel that ends with its WebSocket.
func TestNotResumable(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  *listener.Config
		head string
		want bool
	}{
		{"asks", &listener.Config{}, "Culvert-Resume: 1\r\n", true},
		{"does not ask", &listener.Config{}, "", false},
		{"asks for another version", &listener.Config{}, "Culvert-Resume: 2\r\n", false},
		{"disabled", &listener.Config{DisableResume: true}, "Culvert-Resume: 1\r\n", false},
		{"too many", &listener.Config{MaxResumable: -1}, "Culvert-Resume: 1\r\n", false},
		{"no memory", &listener.Config{MaxReplay: -1}, "Culvert-Resume: 1\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &client{T: t, log: &bytes.Buffer{}}
			if got := c.dial(listen(t, tt.cfg), tt.head).Get("Culvert-Session") != ""; got != tt.want {
				t.Errorf("got a session: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestEvicted shows that a session without a WebSocket makes room for a tunnel
// when there are too many, and one with a WebSocket does not.
func TestEvicted(t *testing.T) {
	cut := make(chan struct{}, 1)
	l := listen(t, &listener.Config{MaxSessions: 1, Resume: &resume.Config{
		Observe: &resume.Observer{Cut: func(error) { cut <- struct{}{} }},
	}})
	first := &client{T: t, log: &bytes.Buffer{}}
	first.dial(l, "Culvert-Resume: 1\r\n")
	if r := ask(t, l, upgrade+"\r\n"); r.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("got %d beside a session that has its WebSocket, want 503", r.StatusCode)
	}
	first.conn.Close()
	<-cut
	second := &client{T: t, log: &bytes.Buffer{}}
	second.dial(l, "Culvert-Resume: 1\r\n")
}
