package resume

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilence shows that pings keep a carrier and that a silent one is cut.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all [2]events
		w := newWorld(t, "pipe", &Config{Observe: all[0].observer()}, &Config{Observe: all[1].observer()})
		defer w.end()
		read(w.client)
		read(w.server)
		<-time.After(time.Second)
		looks := [2]*atomic.Int32{w.client.countLooks(), w.server.countLooks()}
		<-time.After(time.Hour)
		if n := looks[0].Load(); n < 100 || n > 200 {
			t.Errorf("the client's timer fired %d times in an idle hour, want it to for each ping alone, some 180 times", n)
		}
		if n := looks[1].Load(); n > 1 {
			t.Errorf("the server's timer fired %d times in an idle hour, want it left alone by each ping", n)
		}
		if n := all[0].get().cuts + all[1].get().cuts; n != 0 {
			t.Fatalf("got %d cuts in an idle hour, want none", n)
		}
		w.set(func() {
			if w.pings > 0 {
				t.Errorf("the server asked %d times, want the client alone to ask", w.pings)
			}
		})
		w.set(func() { w.mute = true }) // nothing comes
		start := time.Now()
		for all[0].get().cuts == 0 && time.Since(start) < 2*time.Minute {
			<-time.After(time.Second)
		}
		w.set(func() { w.mute = false })
		if after := time.Since(start); after < 25*time.Second || after > 51*time.Second {
			t.Errorf("got a cut after %v of silence, want some 45s", after)
		}
		<-time.After(time.Second)
		if seen := all[0].get(); seen.resumed != 1 {
			t.Errorf("got %+v, want it resumed", seen)
		}
	})
}

// countLooks counts how often the timer of the heartbeat fires.
func (c *Conn) countLooks() *atomic.Int32 {
	var n atomic.Int32
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beat.timer.Stop()
	c.beat.timer = time.AfterFunc(time.Second, func() {
		n.Add(1)
		c.onBeat()
	})
	return &n
}

// TestNoFirstByte shows that a carrier on which nothing comes is not kept.
func TestNoFirstByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all events
		w := newWorld(t, "pipe", &Config{Observe: all.observer()}, nil)
		defer w.end()
		read(w.client)
		tries := 0
		w.set(func() {
			w.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
				if tries++; tries > 2 {
					return dial(t.Context(), a)
				}
				near, far := net.Pipe()
				go io.Copy(io.Discard, far) // takes everything and says nothing
				return newFramed(near, a.OnText), 0, nil
			}
		})
		start := time.Now()
		w.cut()
		for all.get().resumed < 3 {
			<-time.After(100 * time.Millisecond)
		}
		if after := time.Since(start); after < 10*time.Second || after > 11*time.Second {
			t.Errorf("got a carrier that works after %v, want 10s: 5 for each that does not", after)
		}
	})
}
