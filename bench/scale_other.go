//go:build !linux

package main

import (
	"errors"
	"time"
)

// canIdle tells whether idle servers can be measured here.
const canIdle = false

func descriptors() (int, error) { return 0, errors.ErrUnsupported }

func usage(int) (resident float64, cpu time.Duration, err error) { return 0, 0, errors.ErrUnsupported }
