package differential

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"culvert/wsconn"
)

// subprotocol is what both speak.
const subprotocol = "culvert.v1"

// verdict is what became of a handshake.
type verdict struct {
	err         error // nil: a WebSocket
	accept      string
	subprotocol string
}

// FuzzRequest has both accept a request, and compares whether they do and the
// 101: RFC 6455, Section 4.2.
func FuzzRequest(f *testing.F) {
	head := "GET /culvert HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: culvert.v1, x\r\n"
	for _, change := range [][2]string{
		{"", ""}, {"HTTP/1.1", "HTTP/1.0"}, {"HTTP/1.1", "HTTP/1.2"}, {"GET", "POST"}, {"13", "8"}, {"13", "13, 8"}, {"Version: 13\r\n", ""},
		{"Key: dGh", "Key: "}, {"Sec-WebSocket-Key", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-key"},
		{"culvert.v1", "Culvert.V1"}, {"culvert.v1", "other"}, {"Sec-WebSocket-Protocol", "X"}, {"websocket", "WebSocket, h2c"},
		{"Host:", "Origin: https://evil.example\r\nHost:"}, {"Host:", "Origin: https://EXAMPLE.com\r\nHost:"},
		{"Host:", "Origin: null\r\nHost:"}, {"Host:", "Origin:\r\nHost:"}, {"Upgrade\r\n", "close\r\n"},
		{"Host:", "Sec-WebSocket-Extensions: permessage-deflate\r\nHost:"},
	} {
		f.Add([]byte(strings.Replace(head, change[0], change[1], 1) + "\r\n"))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = raw[:min(len(raw), maxInput)]
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		ours, theirs := acceptOurs(t, r), acceptTheirs(r)
		if (ours.err == nil) == (theirs.err == nil) && (ours.err != nil || ours.accept == theirs.accept && ours.subprotocol == theirs.subprotocol) {
			return
		}
		if why := allowedRequest(r, ours, theirs); why == "" {
			t.Errorf("%q: wsconn %+v, coder/websocket %+v", raw, ours, theirs)
		}
	})
}

func acceptOurs(t *testing.T, r *http.Request) verdict {
	t.Helper()
	c := &memConn{}
	u := &wsconn.Upgrader{Subprotocols: []string{subprotocol}, Config: &wsconn.Config{PingInterval: -1}}
	conn, err := u.Upgrade(&hijacked{conn: c}, r)
	if err != nil {
		return verdict{err: err}
	}
	conn.Abort()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.written())), r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("wsconn's answer: got %q, %v, want a 101", c.written(), err)
	}
	return verdict{nil, resp.Header.Get("Sec-WebSocket-Accept"), conn.Subprotocol()}
}

func acceptTheirs(r *http.Request) verdict {
	w := &hijacked{conn: &memConn{}}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return verdict{err: err}
	}
	_ = conn.CloseNow()
	return verdict{nil, w.header.Get("Sec-WebSocket-Accept"), conn.Subprotocol()}
}

// FuzzAnswer has both dial a server that answers with template, in which @
// stands for the right Sec-WebSocket-Accept, and compares whether they take it:
// RFC 6455, Section 4.1.
func FuzzAnswer(f *testing.F) {
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: culvert.v1\r\n"
	for _, change := range [][2]string{
		{"", ""}, {"HTTP/1.1", "HTTP/1.0"}, {"101", "200"}, {"101", "302"}, {"@", "@@"}, {"@", ""}, {"culvert.v1", "Culvert.V1"},
		{"culvert.v1", "other"}, {"Sec-WebSocket-Protocol: culvert.v1\r\n", ""}, {"websocket", "WebSocket, h2c"}, {"websocket", "h2c"},
		{"Upgrade\r\n", "close\r\n"}, {"Upgrade:", "Sec-WebSocket-Version: 8\r\nUpgrade:"},
		{"Upgrade:", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade:"}, {"Upgrade:", "Sec-WebSocket-Extensions: ,\r\nUpgrade:"},
		{"Sec-WebSocket-Accept", "Sec-WebSocket-Accept: @\r\nSec-WebSocket-Accept"},
		{"Upgrade:", "Sec-WebSocket-Protocol: other\r\nUpgrade:"}, {"HTTP/1.1 101", "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101"},
	} {
		f.Add([]byte(strings.Replace(head, change[0], change[1], 1) + "\r\n"))
	}
	f.Fuzz(func(t *testing.T, template []byte) {
		template = template[:min(len(template), maxInput)]
		if bytes.Count(template, []byte("@")) > 10 {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(template)), nil)
		if err != nil || resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols {
			return // net/http decides about these, for both
		}
		ours, theirs := dialOurs(template), dialTheirs(template)
		if (ours.err == nil) == (theirs.err == nil) && (ours.err != nil || ours.subprotocol == theirs.subprotocol) {
			return
		}
		if why := allowedAnswer(resp, ours, theirs); why == "" {
			t.Errorf("%q: wsconn %+v, coder/websocket %+v", template, ours, theirs)
		}
	})
}

func dialOurs(template []byte) verdict {
	d := &wsconn.Dialer{Subprotocols: []string{subprotocol}, Config: &wsconn.Config{PingInterval: -1}}
	conn, err := d.Handshake(context.Background(), &answering{template: template}, "ws://example.com/")
	if err != nil {
		return verdict{err: err}
	}
	conn.Abort()
	return verdict{subprotocol: conn.Subprotocol()}
}

func dialTheirs(template []byte) verdict {
	conn, _, err := websocket.Dial(context.Background(), "ws://example.com/", &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: answers101(template), CheckRedirect: stay},
		Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return verdict{err: err}
	}
	_ = conn.CloseNow()
	return verdict{subprotocol: conn.Subprotocol()}
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// answers101 is a RoundTripper that answers with a template, as answering does.
type answers101 []byte

func (a answers101) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(fill(a, r))), r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &memConn{}
	}
	return resp, err
}

// fill makes an answer to r of template.
func fill(template []byte, r *http.Request) []byte {
	return bytes.ReplaceAll(template, []byte("@"), []byte(accept(r.Header.Get("Sec-WebSocket-Key"))))
}

// answering is a server that answers a request with template.
type answering struct {
	memConn

	template []byte
	answered bool
}

func (c *answering) Read(p []byte) (int, error) {
	if !c.answered {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.written())))
		if err != nil {
			return 0, err
		}
		c.answered, c.chunk = true, 4096
		c.in = fill(c.template, r)
	}
	return c.memConn.Read(p)
}
