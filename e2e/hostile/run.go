package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// run makes all attacks that o asks for, and returns whether all bounds held. An
// error says that it could not end.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (ok bool, err error) {
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return false, err
		}
	}
	if err := raise(os.Getpid()); err != nil {
		fmt.Fprintln(stderr, "hostile: honest callers will also wait for a processor, which counts as the server's time:", err)
	}
	var results []*result
	var s *stage
	defer func() { s.end() }()
	for _, a := range attacks() {
		if !o.only.MatchString(a.name) {
			continue
		}
		fmt.Fprintf(stderr, "hostile: %s: %s\n", a.name, a.does)
		var r *result
		if r, s, err = o.try(ctx, s, a); err != nil {
			err = fmt.Errorf("%s: %w", a.name, err)
			break
		}
		results = append(results, r)
	}
	ok = report(stdout, results)
	if o.json != "" {
		err = errors.Join(err, write(o.json, results))
	}
	return ok && err == nil, err
}

// try makes one attack, on s unless it is nil, and again if the p99 alone was
// bad. It returns the stage for the next attack, which is nil if the server was
// not as before.
func (o options) try(ctx context.Context, s *stage, a attack) (*result, *stage, error) {
	for n := 1; ; n++ {
		if s == nil {
			var err error
			if s, err = newStage(ctx, o); err != nil {
				return nil, nil, err
			}
		}
		r, err := s.suffer(ctx, a, o)
		if err != nil {
			return nil, s, err
		}
		r.Tries, r.Failures = n, r.judge(o.bounds)
		if !r.Recovered {
			s.end()
			s = nil
		}
		if again := r.isSlow(o.bounds) && len(r.Failures) == 1; !again || n >= o.tries {
			return r, s, nil
		}
	}
}

func write(name string, results []*result) error {
	b, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
