package main

import (
	"time"

	"culvert/fallback"
	"culvert/resume"
)

// observe makes d tell b of what its tunnels resume.
func observe(d *fallback.Dialer, b *book) {
	d.Resume = &resume.Config{Observe: &resume.Observer{
		Cut: func(error) { b.noticed.Add(1) },
		Resumed: func(_ time.Duration, replayed int64) {
			b.resumed.Add(1)
			b.replayed.Add(replayed)
		},
		Lost: func(err error) { b.lost(err) },
	}}
}
