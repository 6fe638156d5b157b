package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"
)

// stage is a server with its honest callers.
type stage struct {
	server *child
	at     welcome
	load   *load
}

func newStage(ctx context.Context, o options) (*stage, error) {
	// What is left behind is kept for half of the time that a recovery may take.
	variables := []string{keeping + "=" + (o.bounds.Recovery / 2).String()}
	if o.logs {
		variables = append(variables, logging+"=1")
	}
	server, err := startChild(roleServer, variables...)
	if err != nil {
		return nil, err
	}
	s := &stage{server: server}
	if err := server.ask(nil, &s.at); err != nil {
		return nil, errors.Join(err, server.end())
	}
	config, err := trusting(s.at.Root)
	if err == nil {
		err = usual(server.cmd.Process.Pid)
	}
	if err == nil {
		s.load, err = newLoad(ctx, s.at.Addr, config)
	}
	if err != nil {
		return nil, errors.Join(err, server.end())
	}
	wait(warmUp, ctx.Done())
	return s, nil
}

// warmUp is how long the honest callers go on before anything is measured.
const warmUp = 500 * time.Millisecond

// end ends the honest callers and the server. It may be called on nil.
func (s *stage) end() {
	if s != nil {
		_ = s.load.end()
		_ = s.server.end()
	}
}

func (s *stage) ask(q question) (a answer, err error) {
	if err = s.server.ask(q, &a); err == nil && a.Err != "" {
		err = errors.New(a.Err)
	}
	return a, err
}

// suffer measures one attack: quiet times, the attack, and what follows.
func (s *stage) suffer(ctx context.Context, a attack, o options) (*result, error) {
	r := &result{Name: a.name, Does: a.does}
	if _, err := s.ask(question{Collect: true}); err != nil {
		return nil, err
	}
	wait(settle, ctx.Done())
	if _, err := s.ask(question{Restart: true}); err != nil {
		return nil, err
	}
	s.load.next()
	wait(o.quiet, ctx.Done())
	r.QuietCalls = s.load.next().calls.spread()
	quiet, err := s.ask(question{Restart: true})
	if err != nil {
		return nil, err
	}
	r.Quiet = quiet.Peak
	if err := s.attacked(ctx, a, o, r); err != nil {
		return nil, err
	}
	if err := s.recover(ctx, o.bounds.Recovery, r); err != nil {
		return nil, err
	}
	return r, context.Cause(ctx)
}

// settle is how long after a collection quiet times begin.
const settle = 100 * time.Millisecond

// attacked has the attack made.
func (s *stage) attacked(ctx context.Context, a attack, o options, r *result) (err error) {
	c, err := startChild(roleAttacker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	if err := lower(c.cmd.Process.Pid); err != nil {
		return err
	}
	var begun bool
	if err := c.ask(order{Attack: a.name, Addr: s.at.Addr, Root: s.at.Root, Smoke: o.smoke}, &begun); err != nil {
		return err
	}
	if o.profiles != "" {
		if _, err := s.ask(question{Profile: filepath.Join(o.profiles, a.name)}); err != nil {
			return err
		}
	}
	began := time.Now()
	s.load.next()
	wait(o.attack, ctx.Done())
	p := s.load.next() // the attack goes on until its calls have ended
	r.HonestCalls, r.FreshDials = p.calls.spread(), p.fresh.spread()
	r.Took = time.Since(began)
	attacked, err := s.ask(question{})
	if err != nil {
		return err
	}
	r.Peak = attacked.Peak
	if o.profiles != "" {
		if _, err := s.ask(question{Profiled: true}); err != nil {
			return err
		}
	}
	return c.ask(stop{}, &r.Did)
}

// recover waits until the server is as it was in quiet times.
func (s *stage) recover(ctx context.Context, limit time.Duration, r *result) error {
	const again = 200 * time.Millisecond
	began := time.Now()
	for {
		a, err := s.ask(question{Collect: true})
		if err != nil {
			return err
		}
		r.After, r.Recovery = a.Now, time.Since(began)
		if r.Recovered = isQuiet(a.Now, r.Quiet); r.Recovered || r.Recovery > limit {
			return nil
		}
		wait(again, ctx.Done())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
