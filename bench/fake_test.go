package main

import (
	"math/rand/v2"
	"regexp"
)

// fakeReport returns a report of every row and contender with invented values.
func fakeReport() *report {
	everything := regexp.MustCompile("")
	random := rand.New(rand.NewPCG(3, 4))
	rep := &report{Machine: machine{"go1.26", "linux/amd64", 2, "A <CPU> & more"}, Rounds: 5, Slice: "300ms"}
	for _, row := range rows(everything, 1) {
		list := contenders(everything)
		entrants := make([]*entrant, len(list))
		for i, c := range list {
			e := &entrant{values: make([][]float64, len(row.metrics))}
			for j, m := range row.metrics {
				cost := map[string]float64{"naive": 0.4, "coder": 0.7, "ws": 0.95, "ws+mux": 0.9, productName: 0.9}[c.way.name]
				if cost == 0 {
					cost = 1
				}
				for range rep.Rounds {
					v := 1e6 * cost * (0.95 + 0.1*random.Float64())
					if m.unit.lowerIsBetter() {
						v = 1e-4 / cost * (0.95 + 0.1*random.Float64())
					}
					e.values[j] = append(e.values[j], v)
				}
			}
			entrants[i] = e
		}
		rep.Results = append(rep.Results, collect(row, list, entrants)...)
	}
	return rep
}
