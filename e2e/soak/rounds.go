package main

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

// rounds makes rounds until time is up. The load is paused when it returns.
func (s *stage) rounds() error {
	length := min(max(s.length/20, time.Second), 5*time.Second)
	for {
		if err := s.round(length); err != nil {
			return err
		}
		took, n := time.Since(s.quiet.began), len(s.quiet.samples)
		if n >= minWarmUp && took >= s.length/5 && !s.profiles.begun() {
			if err := s.profiles.write("before"); err != nil {
				return err
			}
		}
		if took >= s.length && n >= minWarmUp+minCounted {
			return s.profiles.write("after")
		}
		s.load.resume()
	}
}

// round cuts for a while, pauses the load, and takes a sample.
func (s *stage) round(length time.Duration) error {
	defer s.bounded("a round").Stop()
	ctx, cancel := context.WithTimeout(context.Background(), length+toEnd)
	defer cancel()
	until := time.Now().Add(length)
	errs := make([]error, len(s.world.cutters))
	var wg sync.WaitGroup
	for i, c := range s.world.cutters {
		wg.Go(func() {
			for errs[i] == nil && time.Now().Before(until) {
				errs[i] = c.Next(ctx, math.MaxInt)
			}
		})
	}
	wg.Wait()
	s.load.pause()
	err := errors.Join(append(errs, s.leaker.leak())...)
	if err != nil {
		return err
	}
	x, err := s.quiet.take()
	if err != nil {
		return err
	}
	s.line(x)
	return nil
}
