package token_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/internal/token"
)

// TestToken takes, passes on and refuses a token, in order.
func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tok token.Token
		if !tok.Try() || tok.Try() {
			t.Error("Try: got not one token")
		}
		var order []int
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if tok.Want() {
					t.Errorf("%d: got a token that is held", i)
					return
				}
				select {
				case <-tok.Next():
					order = append(order, i)
					tok.Release()
				case <-time.After(time.Duration(3-i) * time.Hour):
					tok.Leave()
				}
			})
			synctest.Wait()
		}
		<-time.After(90 * time.Minute) // 2 and 3 have left
		tok.Release()
		wg.Wait()
		if want := []int{0, 1}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
		if !tok.Want() {
			t.Error("the token is lost")
		}
	})
}

// TestLeaveWhilePassed leaves when the token has been passed to the caller, or
// to one of two.
func TestLeaveWhilePassed(t *testing.T) {
	var tok token.Token
	tok.Try()
	if tok.Want() || tok.Want() {
		t.Fatal("got a token that is held")
	}
	tok.Release()
	tok.Leave()
	<-tok.Next()
	if tok.Want() {
		t.Fatal("got a token that is held")
	}
	tok.Release()
	tok.Leave()
	if !tok.Try() {
		t.Error("the token is lost")
	}
}

// TestMany has goroutines that want the token, some without patience: it is
// with one at a time and never lost.
func TestMany(t *testing.T) {
	var tok token.Token
	var wg sync.WaitGroup
	held, taken := 0, 0 // the race detector sees who does not hold it
	done := make(chan struct{})
	close(done)
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 20_000 {
				if !tok.Want() {
					patience := done
					if r.IntN(2) == 0 {
						patience = nil
					}
					select {
					case <-tok.Next():
					case <-patience:
						tok.Leave()
						continue
					}
				}
				if held++; held != 1 {
					t.Errorf("got %d holders", held)
				}
				taken++
				held--
				tok.Release()
			}
		})
	}
	wg.Wait()
	if !tok.Try() || taken == 0 {
		t.Errorf("the token is lost, or was taken %d times", taken)
	}
}

func BenchmarkToken(b *testing.B) {
	var tok token.Token
	for b.Loop() {
		if tok.Want() {
			tok.Release()
		}
	}
}
