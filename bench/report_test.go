package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// twoResults returns direct and culvert in one row, culvert at ratio.
func twoResults(u unit, ratio float64) []result {
	base := contender{way{name: baselineName}, false}
	product := contender{way{name: productName}, false}
	bound := rateBound
	if u.lowerIsBetter() {
		bound = timeBound
	}
	return collect(row{name: "a row", metrics: []metric{{name: "p50", unit: u, bound: bound}}}, []contender{base, product}, []*entrant{
		{values: [][]float64{{1e-4, 2e-4, 4e-4}}},
		{values: [][]float64{{1e-4 * ratio, 2e-4 * ratio, 4e-4 * ratio * 1.5}}},
	})
}

func TestMarkdown(t *testing.T) {
	rep := &report{
		Machine: machine{"go1.26", "linux/amd64", 2, "A CPU"}, Rounds: 3, Slice: "300ms",
		Results: twoResults(duration, 1.5),
	}
	var b strings.Builder
	if err := rep.writeMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	want := `go1.26, linux/amd64, 2 cores, A CPU
3 rounds of 300ms; the codec does not copy; ratios to direct gRPC over the same TCP or TLS, in the same round

| row        | contender   | value  | ratio min / median / max |
|------------|-------------|--------|--------------------------|
| a row, p50 | direct TCP  | 200 µs | –                        |
|            | culvert TCP | 300 µs | **1.50 / 1.50 / 2.25**   |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		unit   unit
		ratio  float64
		misses int
	}{
		{duration, timeBound - 0.01, 0},
		{duration, 1.2, 1},
		{duration, 0.5, 0},
		{byteRate, rateBound + 0.01, 0},
		{byteRate, 0.8, 1},
		{byteRate, 2, 0},
	}
	for _, tt := range tests {
		misses, _, held := check(twoResults(tt.unit, tt.ratio))
		if len(misses) != tt.misses || held != 1 {
			t.Errorf("%v in %q: got %d misses (%q) of %d, want %d of 1",
				tt.ratio, tt.unit, len(misses), misses, held, tt.misses)
		}
	}
}

func TestSpeedTurnsTimesAround(t *testing.T) {
	r := twoResults(duration, 2)[1]
	if got, want := r.speed(), (summary{1.0 / 3, 0.5, 0.5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCollectWithoutBaseline(t *testing.T) {
	list := []contender{{way{name: baselineName}, false}, {way{name: productName}, false}, {way{name: productName}, true}}
	results := collect(row{name: "a row", metrics: []metric{{unit: byteRate, bound: rateBound}}}, list, []*entrant{
		{err: errors.New("broken")}, {values: [][]float64{{1}}}, {values: [][]float64{{2}}},
	})
	if len(results) != 2 || results[0].Ratios != nil || results[1].Ratios != nil {
		t.Errorf("got %+v, want two results without ratios", results)
	}
}

func TestJSON(t *testing.T) {
	rep := fakeReport()
	var b bytes.Buffer
	if err := rep.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(back), fmt.Sprint(*rep); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestSVG(t *testing.T) {
	rep := fakeReport()
	var texts, dots int
	var width, height float64
	d := xml.NewDecoder(bytes.NewReader(rep.svg()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "svg":
			width, height = coordinate(t, e, "width"), coordinate(t, e, "height")
		case "text":
			texts++
		case "circle":
			dots++
			if x, y := coordinate(t, e, "cx"), coordinate(t, e, "cy"); !(x > 0 && x < width && y > 0 && y < height) {
				t.Errorf("a dot at %v, %v is outside %v × %v", x, y, width, height)
			}
		}
	}
	rows := len(group(rep.Results))
	if want := len(marks) + rows*2*len(marks); dots != want {
		t.Errorf("got %d dots, want %d", dots, want)
	}
	if texts < rows {
		t.Errorf("got %d texts for %d rows", texts, rows)
	}
}

// coordinate returns the number in an attribute.
func coordinate(t *testing.T, e xml.StartElement, name string) float64 {
	t.Helper()
	for _, a := range e.Attr {
		if a.Name.Local == name {
			v, err := strconv.ParseFloat(a.Value, 64)
			if err != nil {
				t.Error(err)
			}
			return v
		}
	}
	t.Errorf("%s has no %s", e.Name.Local, name)
	return 0
}
