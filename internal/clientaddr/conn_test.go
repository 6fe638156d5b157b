package clientaddr

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"culvert/internal/testnet"
)

// TestSlowHead has a head that does not come, or in part. The next connection
// is accepted meanwhile.
func TestSlowHead(t *testing.T) {
	for _, part := range []string{"", "PROX", "PROXY TCP4 198.51", signature2 + "\x21"} {
		client, server := accept(t, loopback, 10*time.Millisecond)
		client.Write([]byte(part))
		_, err := server.Read(make([]byte, 9))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("after %q: got %v, want a timeout", part, err)
		}
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Errorf("after %q: the connection was not closed", part)
		}
	}
}

// TestAcceptDoesNotWait accepts while another connection's head is awaited.
func TestAcceptDoesNotWait(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, loopback, time.Minute)
	defer l.Close()
	for range 3 {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		go server.RemoteAddr()
	}
}

// TestTimer closes a connection in time even if nobody reads, but not once it
// has its head.
func TestTimer(t *testing.T) {
	for _, withHead := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client, pipe := net.Pipe()
			defer client.Close()
			start := time.Now()
			server := newConn(pipe, time.Minute)
			defer server.Close()
			if withHead {
				go client.Write([]byte("PROXY UNKNOWN\r\n"))
				server.RemoteAddr()
			}
			client.SetReadDeadline(start.Add(time.Hour))
			_, err := client.Read(make([]byte, 1))
			want, wantErr := time.Minute, io.EOF
			if withHead {
				want, wantErr = time.Hour, os.ErrDeadlineExceeded
			}
			if got := time.Since(start); got != want || !errors.Is(err, wantErr) {
				t.Errorf("got %v after %v, want %v after %v", err, got, wantErr, want)
			}
		})
	}
}

// TestDeadlineBeforeHead has deadlines that pass while a head is coming in.
func TestDeadlineBeforeHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range heads(t) {
			client, pipe := net.Pipe()
			server := newConn(pipe, time.Hour)
			for _, b := range c.head[:min(len(c.head), 130)] {
				server.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := server.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("%s: got %v, want a timeout", name, err)
				}
				server.SetReadDeadline(time.Time{})
				go client.Write([]byte{b})
				synctest.Wait()
			}
			go client.Write(append(c.head[min(len(c.head), 130):], "hello"...))
			checkRead(t, server, "hello")
			want := c.want
			if want == "" {
				want = "pipe"
			}
			if got := server.RemoteAddr().String(); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
			client.Close()
			server.Close()
		}
	})
}

// TestAddressBeforeHead asks for the address when the deadline has passed: what
// comes later is not to be taken for the proxy's own.
func TestAddressBeforeHead(t *testing.T) {
	client, server := accept(t, loopback, time.Minute)
	server.SetReadDeadline(time.Unix(1, 0))
	if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	server.SetReadDeadline(time.Time{})
	client.Write([]byte("PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\nhello"))
	if n, err := server.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d, %v, want a timeout", n, err)
	}
}

// TestClose ends what waits for a head.
func TestClose(t *testing.T) {
	_, server := accept(t, loopback, time.Minute)
	done := make(chan error)
	go func() {
		_, err := server.Read(make([]byte, 1))
		done <- err
	}()
	server.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

// TestUnwrap gets at the socket once it has all data.
func TestUnwrap(t *testing.T) {
	client, server := accept(t, loopback, time.Minute)
	u := server.(interface{ Unwrap() net.Conn })
	client.Write([]byte("PROXY UNKNOWN\r\nhello"))
	server.RemoteAddr()
	if u.Unwrap() != server {
		t.Error("got the socket before the data was read")
	}
	checkRead(t, server, "hello")
	client.Write([]byte("more"))
	checkRead(t, server, "more")
	if _, ok := u.Unwrap().(*net.TCPConn); !ok {
		t.Errorf("got a %T, want the socket", u.Unwrap())
	}
}

// TestConn runs the conformance tests of net.Conn behind the head.
func TestConn(t *testing.T) {
	for _, role := range []string{"first", "second"} {
		t.Run(role, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				client, server := accept(t, loopback, time.Minute)
				_, err = client.Write([]byte("PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n"))
				server.RemoteAddr()
				stop = func() { client.Close(); server.Close() }
				if role == "first" {
					return server, client, stop, err
				}
				return client, server, stop, err
			})
		})
	}
}

// TestTLS does TLS behind the head.
func TestTLS(t *testing.T) {
	serverConfig, clientConfig, err := testnet.TLS("localhost")
	if err != nil {
		t.Fatal(err)
	}
	clientConfig.ServerName = "localhost"
	client, server := accept(t, loopback, time.Minute)
	client.Write([]byte("PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n"))
	c, s := tls.Client(client, clientConfig), tls.Server(server, serverConfig)
	go c.Write([]byte("hello"))
	checkRead(t, s, "hello")
	if got := s.RemoteAddr().String(); got != "198.51.100.1:1" {
		t.Errorf("got %s", got)
	}
}
