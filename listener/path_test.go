package listener_test

import (
	"strings"
	"testing"

	"culvert/listener"
)

// TestPath opens tunnels at the path as it is configured, and at no other
// spelling of it.
func TestPath(t *testing.T) {
	for configured, paths := range map[string]map[string]int{
		"":         {"/culvert": 101, "/%63ulvert": 404, "/culvert/": 404, "//culvert": 404, "/Culvert": 404},
		"tunnel":   {"/tunnel": 101, "/culvert": 404},
		"/a b":     {"/a%20b": 101, "/a+b": 404},
		"/tunnel/": {"/tunnel/": 101, "/tunnel": 404},
	} {
		t.Run(configured, func(t *testing.T) {
			l := listen(t, &listener.Config{Path: configured})
			for path, want := range paths {
				r := ask(t, l, strings.Replace(upgrade, "/culvert", path, 1)+"\r\n")
				if r.StatusCode != want {
					t.Errorf("%s: got %s, want %d", path, r.Status, want)
				}
			}
		})
	}
}
