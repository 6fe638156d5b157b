package main

import (
	"bufio"
	"os"
	"runtime"
	"strings"
)

// machine is what figures depend on, apart from the code.
type machine struct {
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Cores    int    `json:"cores"` // that Go uses
	CPU      string `json:"cpu"`
}

func thisMachine() machine {
	return machine{
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Cores:    runtime.GOMAXPROCS(0),
		CPU:      cpuModel(),
	}
}

// cpuModel returns what Linux calls the processor, "unknown" elsewhere.
func cpuModel() string {
	const unknown = "unknown"
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}
