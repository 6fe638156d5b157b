//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

func childAttr() *syscall.SysProcAttr { return nil }

func lower(int) error { return errors.ErrUnsupported }

func resident() (int64, error) { return 0, errors.ErrUnsupported }

func descriptors() (int, error) { return 0, errors.ErrUnsupported }

func processor() (time.Duration, error) { return 0, errors.ErrUnsupported }
