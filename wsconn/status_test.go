package wsconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"culvert/wsconn"
)

// answered performs a handshake with a peer that sends answer and then ends
// the connection. It returns the error, and what the peer was sent until the
// dialer closed its end.
func answered(t *testing.T, answer string) (sent string, err error) {
	t.Helper()
	near, far := net.Pipe()
	got := make(chan string, 1)
	go func() {
		r, _ := io.ReadAll(far) // fails once far is closed
		got <- string(r)
	}()
	go func() {
		_, _ = io.WriteString(far, answer)
		_ = far.Close()
	}()
	c, err := new(wsconn.Dialer).Handshake(t.Context(), near, "ws://api.invalid/path?q=1")
	if err == nil {
		_ = c.Close()
		t.Fatal("got a WebSocket")
	}
	if _, again := near.Write([]byte("x")); !errors.Is(again, io.ErrClosedPipe) {
		t.Errorf("the connection was not closed: Write gives %v", again)
	}
	return <-got, err
}

// TestStatusError checks what a refusal says, and its bounds.
func TestStatusError(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         []string
		status       int
	}{
		{"script before the text", "HTTP/1.1 200 OK\r\n\r\n<!DOCTYPE html>\n<html><head>\n<title>Sign in &mdash; Corp</title>\n",
			[]string{`"Sign in &mdash; Corp"`}, 200},
		{"nobody named", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", []string{"an unnamed server answered 404"}, 404},
		{"Via", "HTTP/1.1 502 Bad Gateway\r\nServer: a\r\nVia: 1.1 b\r\nContent-Length: 0\r\n\r\n",
			[]string{"Server: a, Via: 1.1 b answered 502"}, 502},
		{"an answer of gRPC", "HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 3\r\n\r\n\x00\xff\n", []string{"415"}, 415},
		{"long fields", "HTTP/1.1 503 " + strings.Repeat("s", 5000) + "\r\nServer: " + strings.Repeat("v", 5000) + "\r\n\r\n" +
			strings.Repeat("b", 5000), []string{"503 sss"}, 503},
		{"body cut short", "HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\nonly this", []string{`"only this"`}, 500},
		{"chunked", "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n4\r\noops\r\n0\r\n\r\n", []string{`"oops"`}, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent, err := answered(t, tt.answer)
			var status *wsconn.StatusError
			if !errors.As(err, &status) || status.StatusCode != tt.status || status.Op != "GET" || status.Proxy != "" {
				t.Fatalf("got %#v, want a StatusError with %d", err, tt.status)
			}
			for _, want := range append(tt.want, "GET ws://api.invalid/path?q=1") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want a text with %q", err, want)
				}
			}
			if len(err.Error()) > 700 || len(status.Body) > 1024 || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("got a text of %d and a body of %d bytes: %.300q", len(err.Error()), len(status.Body), err)
			}
			if !strings.HasPrefix(sent, "GET /path?q=1 HTTP/1.1\r\nHost: api.invalid\r\n") {
				t.Errorf("got the request %q", sent)
			}
		})
	}
}

// TestHandshakeError checks answers that end early or are no HTTP.
func TestHandshakeError(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		cause  error
		want   string
	}{
		"nothing":     {"", io.ErrUnexpectedEOF, "the connection was closed without one"},
		"half a head": {"HTTP/1.1 101 Switching", io.ErrUnexpectedEOF, "the connection was closed without one"},
		"half a field": {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web", io.ErrUnexpectedEOF,
			"the connection was closed without one"},
		"TLS alert":      {"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", nil, "reading the answer"},
		"HTTP/2 preface": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", nil, "reading the answer"},
		"no length":      {"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c, x\r\n\r\n", nil, `the 101 upgrades to "h2c, x"`},
		"no Connection":  {"HTTP/1.1 101 x\r\nUpgrade: WebSocket\r\n\r\n", nil, "no Connection: Upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answered(t, tt.answer)
			var handshake *wsconn.HandshakeError
			if !errors.As(err, &handshake) || handshake.Target != "ws://api.invalid/path?q=1" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a HandshakeError with %q", err, tt.want)
			}
			if tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("got %v, want one that is %v", err, tt.cause)
			}
		})
	}
}

// TestHandshakeTimes bounds a silent server by 10 s, the caller's context by
// its own end, and a refusal whose body never ends by one second.
func TestHandshakeTimes(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		limit, want  time.Duration
		cause        error
	}{
		{"silent", "", 0, 10 * time.Second, context.DeadlineExceeded},
		{"context", "", 3 * time.Second, 3 * time.Second, context.DeadlineExceeded},
		{"stops in the head", "HTTP/1.1 101 Switching", 0, 10 * time.Second, context.DeadlineExceeded},
		{"endless body", "HTTP/1.1 503 Later\r\n\r\nsome", 0, time.Second, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tt.limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.limit)
				}
				defer cancel()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				go func() { _, _ = io.WriteString(far, tt.answer) }()
				start := time.Now()
				_, err := new(wsconn.Dialer).Handshake(ctx, near, "ws://api.invalid/")
				if took := time.Since(start); err == nil || took != tt.want {
					t.Errorf("got %v after %v, want an error after %v", err, took, tt.want)
				}
				var status *wsconn.StatusError
				if tt.cause != nil && !errors.Is(err, tt.cause) || tt.cause == nil && !(errors.As(err, &status) && status.Body == "some") {
					t.Errorf("got %v, want %v or a StatusError with what came of its body", err, tt.cause)
				}
				_ = far.Close()
			})
		})
	}
}

// TestRetryAfter reads both forms of the header.
func TestRetryAfter(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "Fri, 31 Dec 1999 23:59:59 GMT": 0, "": -1, "-1": -1, "9999999999999999": 1<<63 - 1,
		"99999999999999999999999": -1, "soon": -1, "1.5": -1,
	} {
		e := &wsconn.StatusError{Header: http.Header{"Retry-After": {v}}}
		if got, ok := e.RetryAfter(); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %v, %v, want %v", v, got, ok, want)
		}
	}
	in := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	e := &wsconn.StatusError{Header: http.Header{"Retry-After": {in}}}
	if got, ok := e.RetryAfter(); !ok || got < 59*time.Minute || got > time.Hour {
		t.Errorf("%q: got %v, %v, want an hour", in, got, ok)
	}
}

// TestBadURL refuses what is no ws or wss URL, before anything is dialled.
func TestBadURL(t *testing.T) {
	d := &wsconn.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
		t.Error("something was dialled")
		return nil, io.EOF
	}}
	for _, u := range []string{"", "api.invalid", "http://api.invalid/", "ws:///path", "ws://h:port/", "wss:api", "ws://%zz/"} {
		_, err := d.Dial(t.Context(), u)
		if err == nil || !strings.HasPrefix(err.Error(), "wsconn: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line", u, err)
		}
		near, far := net.Pipe()
		if _, err := d.Handshake(t.Context(), near, u); err == nil {
			t.Errorf("Handshake %q: got nil, want an error", u)
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as net.Pipe returns it
			t.Errorf("Handshake %q: got %v at the other end, want io.EOF: closed", u, err)
		}
	}
}
