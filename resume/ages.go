package resume

import (
	"slices"
	"time"
)

// Carriers that die at a steady age: as many as that, within a tenth, and none
// younger than a second, which would be chance.
const (
	steadyCount = 3
	steadyAge   = time.Second
)

// relearn is after how many carriers that were replaced in time one is left to
// itself, to see whether it still dies.
const relearn = 16

// ages knows how old carriers become. The zero value knows nothing.
type ages struct {
	dead    [steadyCount]time.Duration // the latest ones
	renewal int                        // how many were replaced since
}

// died notes that a carrier was cut at that age.
func (g *ages) died(age time.Duration) {
	copy(g.dead[1:], g.dead[:])
	g.dead[0] = age
	g.renewal = 0
}

// renewed notes that a carrier is being replaced in time.
func (g *ages) renewed() { g.renewal++ }

// due returns the age at which a carrier should be replaced, 0 if there is none
// or this one, now of the given age, is to be left to itself.
func (g *ages) due(age time.Duration) time.Duration {
	youngest, oldest := slices.Min(g.dead[:]), slices.Max(g.dead[:])
	if youngest < steadyAge || oldest-youngest > youngest/10 {
		return 0
	}
	if age > 2*oldest { // they do not die any more
		*g = ages{}
		return 0
	}
	if g.renewal%relearn == relearn-1 {
		if age > oldest+oldest/10 {
			*g = ages{}
		}
		return 0
	}
	return youngest * 85 / 100
}
