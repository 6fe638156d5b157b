package resume

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// violation is the error of a carrier whose peer broke its protocol.
type violation struct{}

func (violation) Error() string     { return "a reserved bit is set" }
func (violation) IsViolation() bool { return true }

// violated is a carrier that has read one.
type violated struct{ *framed }

func (violated) Read([]byte) (int, error) { return 0, violation{} }

// TestViolation ends the server's stream when its client breaks the carrier's
// protocol, for good; to a client it is a cut like any other, since a proxy may
// be at fault.
func TestViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := New(nil, nil)
		client := New(nil, func(context.Context, *Attachment) (Carrier, uint64, error) { return nil, 0, errors.New("not now") })
		for _, c := range []*Conn{server, client} {
			near, far := net.Pipe()
			defer far.Close()
			a := c.Prepare()
			if err := a.Attach(violated{newFramed(near, a.OnText)}, 0); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
		}
		var broken *ProtocolError
		if _, err := server.Read(make([]byte, 1)); !errors.As(err, &broken) {
			t.Errorf("server: got %v, want a ProtocolError", err)
		}
		<-server.Done()
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("client: got %v, want a stream that waits for another carrier", err)
		}
		client.Abort()
		server.Abort()
	})
}
