package cli_test

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/chart"
	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/grafana"
)

// pictureEnv is set by make picture: the picture in docs/collectors.md is written.
const pictureEnv = "BAKEOFF_PICTURE"

// TestCollectedPicture draws the panel "Correct answers" from what a real InfluxDB answers to its query, after a real run.
func TestCollectedPicture(t *testing.T) {
	at := exporttest.InfluxDB(t)
	s := newScene(t)
	draw := os.Getenv(pictureEnv) != ""
	text := `name: e2e
blocks: 1
dataset: {rows: 2000}
deployment: {replicas: 1, workers: 2, pool: 4}
targets: [go-nethttp, node-fastify]
turns: off
warmup: 1s
phases: [{name: closed, model: closed, connections: 8, duration: 2s, think: 20ms}]
`
	if draw {
		text = strings.NewReplacer("warmup: 1s", "warmup: 3s", "duration: 2s", "duration: 12s", ", think: 20ms", "").Replace(text)
	}
	s.write("p.yaml", text+fmt.Sprintf("collect: {influxdb: {url: %q, database: live}}\n", at))
	s.measured("run", "p.yaml")
	run := s.open().Run()
	variables := strings.NewReplacer("$timeFilter", fmt.Sprintf("time >= %d AND time <= %d", run.Started.UnixNano(), run.Ended.Add(time.Minute).UnixNano()),
		"$__interval", "1s", "$run", filepath.Base(s.theRun()))
	d := grafana.Dashboards()[0]
	i := slices.IndexFunc(d.Panels, func(p grafana.Panel) bool { return p.Title == "Correct answers" })
	panel := d.Panels[i]
	rows := exporttest.Query(t, at, "live", variables.Replace(panel.Queries[0].Text))
	marks := exporttest.Query(t, at, "live", variables.Replace(d.Annotation()))
	var out strings.Builder
	if _, err := panelPicture(t, panel, rows, marks).WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(out.String(), `<path class="l`) // of the legend too
	points := strings.Count(out.String(), `class="m f`)
	if err := xml.Unmarshal([]byte(out.String()), new(struct{})); err != nil && err != io.EOF || lines != 2*2 || points != len(rows) || points < 4 {
		t.Errorf("%d lines and %d points of %d rows: %v", lines, points, len(rows), err)
	}
	if draw {
		if err := os.WriteFile("../../docs/collectors.svg", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// panelPicture draws a panel over time: a line for each target, and a rule where a phase begins.
func panelPicture(t *testing.T, panel grafana.Panel, rows, marks []exporttest.Row) *chart.Canvas {
	t.Helper()
	const width, height, left, right, top, bottom = 760, 280, 60, 740, 50, 240
	byTarget := map[string][][2]float64{}
	var values, times []float64
	for _, row := range rows {
		at, value := seconds(t, row), row.Float(t, "mean")
		target := fmt.Sprint(row["target"])
		byTarget[target] = append(byTarget[target], [2]float64{at, value})
		values, times = append(values, value), append(times, at)
	}
	began := slices.Min(times)
	for i := range times {
		times[i] -= began
	}
	c := chart.New(width, height, panel.Title)
	x, y := chart.FromZero(times, left, right), chart.FromZero(values, bottom, top)
	name := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	c.AxisLeft(y, left, right, name)
	c.AxisBelow(x, top, bottom, name)
	c.Text(left, 20, panel.Title+": "+panel.Description, chart.Style{Bold: true})
	c.Text(right, 272, "seconds", chart.Style{Size: 11, Grey: true, Anchor: "end"})
	for _, mark := range marks {
		if at := seconds(t, mark) - began; at >= 0 && mark["title"] != "valid" {
			c.Line(x.At(at), top, x.At(at), bottom, chart.Rule)
			c.Text(x.At(at)+3, top+12, fmt.Sprint(mark["title"]), chart.Style{Size: 11, Grey: true})
		}
	}
	legend := float64(left)
	for i, target := range sortedTargets(byTarget) {
		series := chart.Series(i)
		var line []chart.Point
		for _, p := range byTarget[target] {
			at := chart.Point{X: x.At(p[0] - began), Y: y.At(p[1])}
			line = append(line, at)
			c.Mark(at, series, fmt.Sprintf("%s: %.0f", target, p[1]))
		}
		c.Path(line, series, chart.Own)
		c.Path([]chart.Point{{X: legend, Y: 36}, {X: legend + 30, Y: 36}}, series, chart.Solid)
		c.Text(legend+36, 40, target, chart.Style{Size: 12})
		legend += 60 + chart.TextWidth(target, chart.Style{Size: 12})
	}
	return c
}

func sortedTargets(m map[string][][2]float64) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(m[a][0][0], m[b][0][0]) }) // as they ran
	return out
}

// seconds is when a row is of, since 1970.
func seconds(t *testing.T, row exporttest.Row) float64 {
	t.Helper()
	n, err := row["time"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return float64(n) / 1e9
}
