package main

import "fmt"

// unit is what a metric is measured in.
type unit string

const (
	duration    unit = "s" // of one call or round trip
	callRate    unit = "calls/s"
	messageRate unit = "msgs/s"
	byteRate    unit = "B/s"
	memory      unit = "B"
	count       unit = ""
)

// lowerIsBetter tells whether the smaller value wins.
func (u unit) lowerIsBetter() bool {
	return u == duration || u == memory || u == count
}

// format writes v for people.
func (u unit) format(v float64) string {
	switch u {
	case duration:
		return scaled(v*1e9, []string{"ns", "µs", "ms", "s"})
	case count:
		return fmt.Sprintf("%.1f", v)
	case callRate, messageRate:
		return scaled(v, []string{string(u), "k " + string(u), "M " + string(u)})
	default:
		return scaled(v, []string{string(u), "k" + string(u), "M" + string(u), "G" + string(u)})
	}
}

// scaled divides v by 1000 as often as it takes to be below it, and writes it
// with three digits and the prefix for that.
func scaled(v float64, units []string) string {
	i := 0
	for ; i < len(units)-1 && v >= 999.5; i++ {
		v /= 1000
	}
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f %s", v, units[i])
	case v < 99.95:
		return fmt.Sprintf("%.1f %s", v, units[i])
	}
	return fmt.Sprintf("%.0f %s", v, units[i])
}
