//go:build !linux

package main

import (
	"errors"
	"time"
)

func lower(int) error { return errors.ErrUnsupported }

func raise(int) error { return errors.ErrUnsupported }

func usual(int) error { return nil }

func resident() (int64, error) { return 0, errors.ErrUnsupported }

func descriptors() (int, error) { return 0, errors.ErrUnsupported }

func processor() (time.Duration, error) { return 0, errors.ErrUnsupported }
