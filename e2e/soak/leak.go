package main

import (
	"fmt"
	"os"
)

// leaker leaks on purpose, a little in each round, to see that it is noticed.
type leaker struct {
	what  string
	never chan struct{}
	kept  [][]byte
	files []*os.File
}

const (
	leakedSize    = 512 << 10
	leakedObjects = 1000
)

func (l *leaker) leak() error {
	switch l.what {
	case "":
	case "goroutine":
		go func() { <-l.never }()
	case "descriptor":
		f, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		l.files = append(l.files, f)
	case "heap":
		l.kept = append(l.kept, make([]byte, leakedSize))
	case "objects":
		for range leakedObjects {
			l.kept = append(l.kept, make([]byte, 8))
		}
	default:
		return fmt.Errorf("-leak %s: goroutine, descriptor, heap or objects", l.what)
	}
	return nil
}
