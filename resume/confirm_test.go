package resume

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestUnconfirmed serves a client that does not know of its session as long as
// it likes, sends it no text, and ends with its carrier.
func TestUnconfirmed(t *testing.T) {
	for name, talks := range map[string]bool{"talks": true, "listens": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(&Config{Buffer: 64 << 10, MaxBuffer: 64 << 10}, nil)
				defer c.Abort()
				p := attach(t, c, c.Prepare(), 0)
				read(c)
				go func() {
					for range p.bytes {
					}
				}()
				for range 120 { // seconds, and far more than the Buffer
					if talks {
						if _, err := p.carrier.Write([]byte("abc")); err != nil {
							t.Fatal(err)
						}
					}
					if n, err := c.Write(make([]byte, 8<<10)); n != 8<<10 || err != nil {
						t.Fatalf("got %d, %v, want all to be written", n, err)
					}
					<-time.After(time.Second)
				}
				select {
				case text := <-p.texts:
					t.Errorf("got the text %q, want none", text)
				default:
				}
				p.carrier.Close()
				<-time.After(time.Second)
				if err := c.Err(); err == nil {
					t.Error("the carrier was cut: got no error, want the end of the stream")
				}
			})
		})
	}
}
