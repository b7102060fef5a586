package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// shaping is a shaper and what it has written, by point: the last value of each field.
type shaping struct {
	*shaper
	t     *testing.T
	lines []Point
}

func newShaping(t *testing.T, schema string) *shaping {
	s := &shaping{t: t}
	run := record.Run{Plan: json.RawMessage(`{"targets":[{"name":"url","url":"http://127.0.0.1/a/b?x=1"}],"phases":[{"name":"one","model":"closed","connections":8},{"name":"two","model":"open","connections":256}]}`)}
	s.shaper = newShaper("demo", run, schema, func(p Point) { s.lines = append(s.lines, p) })
	return s
}

func (s *shaping) begin(folder, target string) {
	raw, err := json.Marshal(record.Begun{Folder: folder, Block: 1, Position: 1, Target: target, Attempt: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	s.feed(record.Item{Event: &record.Event{Kind: record.EventBegun, Fields: raw}})
}

func (s *shaping) feed(item record.Item) {
	s.t.Helper()
	if err := s.take(item); err != nil {
		s.t.Fatal(err)
	}
}

// window feeds one of n answers, of an agent that is at a time of the phase.
func (s *shaping) window(folder string, phase, agent int, begin time.Duration, n int64, change func(*stats.Window)) {
	s.t.Helper()
	w := stats.Window{Begin: begin, Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: n}, Response: stats.NewHistogram()}
	w.Response.RecordN(3*time.Millisecond, n)
	if change != nil {
		change(&w)
	}
	s.feed(record.Item{Trial: folder, Load: &record.Load{Agent: agent, Phase: phase, At: time.Unix(1000, 0).Add(begin), Window: w}})
}

// last are the final values of a field of every point of a measurement, by tags and time.
func (s *shaping) last(measurement, field string, tags ...string) map[string]float64 {
	out := map[string]float64{}
	for _, p := range s.lines {
		key := string(Point{p.Measurement, p.Tags, []Field{{"x", 0.0}}, p.At}.line(nil))
		has := p.Measurement == measurement
		for _, tag := range tags {
			has = has && strings.Contains(key, tag)
		}
		for _, f := range p.Fields {
			switch v := f.Value.(type) {
			case int64:
				if has && f.Key == field {
					out[key] = float64(v)
				}
			case float64:
				if has && f.Key == field {
					out[key] = v
				}
			}
		}
	}
	return out
}

func total(m map[string]float64) (sum float64) {
	for x := range maps.Values(m) {
		sum += x
	}
	return sum
}

// TestMerged adds agents, and phases that share an interval, into one point, however late a window comes.
func TestMerged(t *testing.T) {
	s := newShaping(t, SchemaBoth)
	s.begin("1-1-a", "a")
	var want int64
	for i := range 200 {
		for agent := range 2 {
			n := int64(i + agent)
			begin := time.Duration(i) * 500 * time.Millisecond
			if i%50 == 49 {
				begin -= 40 * time.Second // far behind what is held
			}
			s.window("1-1-a", 1+i/100, agent, begin, n, nil)
			want += n
		}
	}
	s.finish()
	if got := total(s.last(measureWindows, "sent")); got != float64(want) {
		t.Errorf("%v sent, want %d", got, want)
	}
	counts := s.last(measureJMeter, "count", "statut=all", "transaction=all")
	if got := total(counts); got != float64(want) {
		t.Errorf("the sum of count is %v, want %d", got, want)
	}
	if len(counts) < 20 || len(counts) > 22 {
		t.Errorf("%d intervals of 100 s", len(counts))
	}
}

// TestRatesPerTimeOn divides by the time in which a target had its turn, and leaves out what is aside.
func TestRatesPerTimeOn(t *testing.T) {
	s := newShaping(t, SchemaBakeoff)
	s.begin("1-1-a", "a")
	for agent := range 2 {
		s.window("1-1-a", 1, agent, 0, 7, func(w *stats.Window) { w.Length, w.Aside = 50*time.Millisecond, true })
		s.window("1-1-a", 1, agent, 50*time.Millisecond, 100, func(w *stats.Window) { w.Length = 200 * time.Millisecond })
		s.window("1-1-a", 1, agent, 600*time.Millisecond, 50, func(w *stats.Window) { w.Length = 50 * time.Millisecond })
	}
	s.finish()
	for field, want := range map[string]float64{"on_ms": 250, "ok": 314, "ok_per_s": 1200} {
		if got := s.last(measureWindows, field); len(got) != 1 || math.Abs(total(got)-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
}

// failing is a window with every kind of outcome.
func failing(w *stats.Window) {
	w.Books = stats.Books{Planned: 14, Sent: 12, Dropped: 2, OK: 6, Bad: 3, Timeout: 2, Error: 1}
	w.Outcomes = map[string]int64{"status 404": 2, "wrong id": 1, "timeout": 2, "reset": 1}
	w.BadResponse = stats.NewHistogram()
	w.BadResponse.RecordN(time.Millisecond, 3)
	w.Response.RecordN(time.Millisecond, 3)
	w.Replicas = map[string]stats.Replica{"a-1": {Answers: 9, Errors: 3}}
}

// TestJMeterLines compares the lines with those that JMeter 5.6.3 wrote, captured: names, order of magnitude and types.
func TestJMeterLines(t *testing.T) {
	s := newShaping(t, SchemaJMeter)
	s.begin("1-1-a", "url")
	s.window("1-1-a", 1, 0, 0, 6, failing)
	s.finish()
	var got []string
	for _, p := range s.lines {
		got = append(got, strings.TrimSpace(string(p.line(nil))))
	}
	want := []string{
		`events,application=url,title=ApacheJMeter text="demo, block 1: one started" 1000000000000`,
		`jmeter,application=url,statut=all,transaction=all count=12,countError=6,avg=2.999296,min=2.998272,max=3.000319,hit=12,sb=0,rb=0,pct50.0=3.000319,pct90.0=3.000319,pct95.0=3.000319,pct99.0=3.000319 1005000000000`,
		`jmeter,application=url,statut=all,transaction=GET\ /a/b count=12,`, `jmeter,application=url,statut=ok,transaction=GET\ /a/b count=6,`,
		`jmeter,application=url,statut=ko,transaction=GET\ /a/b count=6,`,
		`jmeter,application=url,responseCode=Non\ HTTP\ response\ code:\ reset,responseMessage=Non\ HTTP\ response\ message:\ reset,transaction=GET\ /a/b count=1 1005000000000`,
		`jmeter,application=url,responseCode=404,responseMessage=Not\ Found,transaction=GET\ /a/b count=2 1005000000000`,
		`jmeter,application=url,transaction=internal minAT=8,maxAT=8,meanAT=8,startedT=8,endedT=0 1005000000000`,
	}
	for _, line := range want {
		if !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, line) }) {
			t.Errorf("no line %s in\n%s", line, strings.Join(got, "\n"))
		}
	}
	for _, line := range got {
		if fields := line[strings.LastIndex(line[:strings.LastIndexByte(line, ' ')], " "):]; strings.HasPrefix(line, "jmeter") && strings.Contains(fields, "i,") {
			t.Errorf("an integer: %s", line)
		}
	}
}

// TestThree obeys what InfluxDB 3 demands, in both schemas: a table has the tags of its first point and no others, and no
// field is named like a tag. One point with all tags of JMeter's measurement comes before all others.
func TestThree(t *testing.T) {
	s := newShaping(t, SchemaBoth)
	s.begin("1-1-a", "url")
	s.window("1-1-a", 1, 0, 0, 6, failing)
	s.window("1-1-a", 2, 0, 5*time.Second, 6, nil)
	s.feed(record.Item{Trial: "1-1-a", Series: &record.Series{At: time.Unix(1001, 0), Phase: 1, Tier: "host", Name: "host", Values: map[string]float64{"cpus": 2}}})
	s.finish()
	first := map[string][]string{}
	named := map[string]map[string]bool{}
	for _, p := range append([]Point{everyTag(time.Unix(0, 0))}, s.lines...) {
		var tags []string
		for _, tag := range p.Tags {
			if tag.Value != "" {
				tags = append(tags, tag.Key)
			}
		}
		if first[p.Measurement] == nil {
			first[p.Measurement], named[p.Measurement] = tags, map[string]bool{}
		}
		for _, tag := range tags {
			if !slices.Contains(first[p.Measurement], tag) {
				t.Errorf("%s: the first point has the tags %v, a later one %s", p.Measurement, first[p.Measurement], tag)
			}
		}
		for _, f := range p.Fields {
			named[p.Measurement][f.Key] = true
		}
		if !slices.IsSortedFunc(p.Tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) }) {
			t.Errorf("%s: tags out of order: %v", p.Measurement, p.Tags)
		}
	}
	for measurement, tags := range first {
		for _, tag := range tags {
			if named[measurement][tag] {
				t.Errorf("%s: %s is a tag and a field", measurement, tag)
			}
		}
	}
	if len(first) < 6 {
		t.Errorf("measurements %v", slices.Sorted(maps.Keys(first)))
	}
}

// TestThreeRegisters sends the point with all tags first, to version 3 alone.
func TestThreeRegisters(t *testing.T) {
	for version, want := range map[string]bool{"3.0.1": true, "v2.7.4": false, "1.8.10": false} {
		f := &fake{version: version}
		dir := runOf(t)
		if _, err := Backfill(t.Context(), dir, f.influx(SchemaJMeter), func(string) {}); err != nil {
			t.Fatal(err)
		}
		if _, has := f.points[`jmeter,application=none,responseCode=none,responseMessage=none,statut=none,transaction=internal 0`]; has != want {
			t.Errorf("%s: the point with all tags is there: %v", version, has)
		}
		if f.path != "http://127.0.0.1:1/write?db=x&precision=ns" {
			t.Errorf("%s: written to %s", version, f.path)
		}
	}
	f := &fake{version: "v2.7.4"}
	to := f.influx(SchemaJMeter)
	to.Database, to.Bucket, to.Org = "", "a b", "c"
	if _, err := Backfill(t.Context(), runOf(t), to, func(string) {}); err != nil || f.path != "http://127.0.0.1:1/api/v2/write?bucket=a+b&org=c&precision=ns" {
		t.Errorf("written to %s: %v", f.path, err)
	}
}

// TestFewNames keeps what a server can choose from making tags without end.
func TestFewNames(t *testing.T) {
	s := newShaping(t, SchemaBoth)
	s.begin("1-1-a", "a")
	for i := range 100 {
		s.window("1-1-a", 1, 0, time.Duration(i)*time.Second, 6, func(w *stats.Window) {
			w.Replicas = map[string]stats.Replica{fmt.Sprint("r", i): {Answers: 6}}
			w.Outcomes = map[string]int64{fmt.Sprint("status ", 400+i): 1}
		})
	}
	s.finish()
	replicas, codes := map[string]bool{}, map[string]bool{}
	for _, p := range s.lines {
		for _, tag := range p.Tags {
			switch tag.Key {
			case "replica":
				replicas[tag.Value] = true
			case "responseCode":
				codes[tag.Value] = true
			}
		}
	}
	if len(replicas) != mostNames+1 || len(codes) != mostNames+1 {
		t.Errorf("%d replicas, %d codes", len(replicas), len(codes))
	}
	if got := total(s.last(measureReplicas, "answers")); got != 600 {
		t.Errorf("%v answers", got)
	}
}

// TestLine escapes whatever has a meaning in a line.
func TestLine(t *testing.T) {
	p := Point{"a b", []Tag{{"k=y", "v, w=x\\"}, {"none", ""}}, []Field{{"f", `say "no" \`}, {"n", math.NaN()}, {"i", int64(-3)}, {"x", 0.1}}, time.Unix(1, 2)}
	if got, want := string(p.line(nil)), `a\ b,k\=y=v\,\ w\=x f="say \"no\" \\",i=-3i,x=0.1 1000000002`+"\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := string(Point{"a", nil, []Field{{"x", math.Inf(1)}}, time.Unix(0, 0)}.line([]byte("b\n"))); got != "b\n" {
		t.Errorf("a point without a field is %q", got)
	}
}

// runOf is a small run.
func runOf(t *testing.T) string {
	t.Helper()
	return recordtest.Of(1, "a").Write(t)
}

// TestCrowd leaves out members beyond the first 64, and counts them, has replicas beyond them as one, and keeps nothing of a trial that has ended.
func TestCrowd(t *testing.T) {
	s := newShaping(t, SchemaBakeoff)
	omitted := 0
	s.omit = func() { omitted++ }
	s.begin("1-1-a", "a")
	for i := range 70 {
		for second := range 2 {
			s.feed(record.Item{Trial: "1-1-a", Series: &record.Series{
				At: time.Unix(int64(1000+second), 0), Tier: "target", Name: fmt.Sprintf("a-%d", i), CPUNS: int64(second) * int64(i) * 1e6,
			}})
		}
	}
	s.window("1-1-a", 1, 0, 0, 70, func(w *stats.Window) {
		w.Replicas = map[string]stats.Replica{}
		for i := range 70 {
			w.Replicas[fmt.Sprintf("a-%d", i)] = stats.Replica{Answers: 1}
		}
	})
	raw, err := json.Marshal(record.Proof{Folder: "1-1-a", Status: record.Valid})
	if err != nil {
		t.Fatal(err)
	}
	s.feed(record.Item{Event: &record.Event{Kind: record.EventTrial, Fields: raw}})
	members, replicas := 0, 0
	for _, p := range s.lines {
		switch p.Measurement {
		case measureResources:
			members++
		case measureReplicas:
			replicas++
		}
	}
	if members != 2*mostNames || replicas != mostNames+1 || omitted != 2*(70-mostNames) {
		t.Errorf("%d samples, %d replicas, %d left out", members, replicas, omitted)
	}
	if got := total(s.last(measureReplicas, "answers")); got != 70 {
		t.Errorf("%v answers of replicas", got)
	}
	if len(s.trials) != 0 {
		t.Errorf("%d trials are kept", len(s.trials))
	}
}

// TestReadsOnce destroys the lines of each trial once they were followed: its exact figures are written all the same, and
// are those of the report, so nothing of a trial is read again while the next one is under way.
func TestReadsOnce(t *testing.T) {
	dir := recordtest.Of(2, "a", "b").Write(t)
	want := 0
	for _, p := range points(t, dir, SchemaBakeoff) {
		if p.Measurement == measurePhases {
			want++
		}
	}
	got := 0
	s := source{dir: dir, form: Influx{}.form, ended: t.Context()}
	hand := func(b batch) error {
		got += bytes.Count(b.text, []byte("\n"+measurePhases+","))
		return nil
	}
	r := &reading{source: s, dir: dir, packer: packer{hand: hand}}
	for item, err := range record.Follow(t.Context(), dir, record.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Pause != nil {
			break
		}
		if item.Event != nil && r.shape == nil {
			if err := r.begin(*item.Event); err != nil {
				t.Fatal(err)
			}
		}
		if item.Event != nil && item.Event.Kind == record.EventTrial {
			var p record.Proof
			if err := json.Unmarshal(item.Event.Fields, &p); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"load.jsonl", "series.jsonl"} {
				zeros(t, filepath.Join(dir, "trials", p.Folder, name))
			}
		}
		if err := r.shape.take(item); err != nil {
			t.Fatal(err)
		}
	}
	r.flush()
	if got != want || want != 8 {
		t.Errorf("%d phases, want %d", got, want)
	}
}

// zeros writes zeros over a file.
func zeros(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(make([]byte, info.Size())); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpoiledLine has no exact figures of a trial one of whose lines cannot be read, though its files have their length.
func TestSpoiledLine(t *testing.T) {
	dir := recordtest.Of(1, "a", "b").Write(t)
	path := filepath.Join(dir, "trials", "1-1-a", "load.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[100] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	of := map[string]int{}
	for _, p := range points(t, dir, SchemaBakeoff) {
		if p.Measurement == measurePhases {
			of[p.Tags[len(p.Tags)-1].Value]++
		}
	}
	if of["a"] != 0 || of["b"] != 2 {
		t.Errorf("phases %v", of)
	}
}
