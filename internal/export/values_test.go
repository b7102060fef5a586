package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/verdict"
)

// twoTargets is a run of six blocks of two targets; the second is a tenth faster.
func twoTargets(t *testing.T, names ...string) *record.Reader {
	t.Helper()
	r := recordtest.Of(6, names...)
	r.ClosedS, r.OpenS = 2, 0
	r.Rate = func(target string, block int) int {
		if target == names[1] {
			return 1100 + 2*block
		}
		return 1000 + 2*(block%3)
	}
	reader, err := record.Open(r.Write(t))
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

func exported(t *testing.T, write func(context.Context, io.Writer, *record.Reader) ([]record.Problem, error), r *record.Reader) string {
	t.Helper()
	var out bytes.Buffer
	problems, err := write(t.Context(), &out, r)
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	return out.String()
}

// A run that a person stopped has block values though nothing is claimed of them, and so has a part of a search; one that is
// under way is refused.
func TestBlocksWithoutAVerdict(t *testing.T) {
	r := recordtest.Of(6, "django", "flask")
	r.ClosedS, r.OpenS, r.Head.Search = 2, 0, "stage 1 of 3"
	w := r.Begin(t)
	for _, p := range r.Head.Order[:10] {
		r.Trial(t, w, p.Block, p.Position, p.Target, 1, nil)
	}
	under, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Blocks(t.Context(), io.Discard, under); err == nil || !strings.Contains(err.Error(), "no block values: the run is under way") {
		t.Errorf("under way: %v", err)
	}
	if err := w.Finish(record.Aborted, record.Interrupted); err != nil {
		t.Fatal(err)
	}
	over, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(exported(t, Blocks, over), "\n"); n != 1+10 {
		t.Errorf("%d lines, want a head and 10 values", n)
	}
}

// What is written as blocks is judged as the run was.
func TestBlocksReadBack(t *testing.T) {
	r := twoTargets(t, "django", "flask")
	table, err := verdict.ReadCSV("blocks.csv", []byte(exported(t, Blocks, r)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := figures.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := verdict.Judge(table, verdict.Options{Delta: s.Verdict.Delta, Seed: s.Verdict.Seed})
	if err != nil {
		t.Fatal(err)
	}
	was, _ := s.Verdict.Pair("flask", "django")
	is, found := again.Pair("flask", "django")
	if !found || is.Ratio != was.Ratio || is.Low != was.Low || is.Verdict != was.Verdict || is.Verdict != verdict.Better {
		t.Errorf("%+v, was %+v", is, was)
	}
}

// benchstat reads what is written for it, and finds the difference.
func TestBenchstat(t *testing.T) {
	tools, err := filepath.Abs("../../tools")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "run.txt")
	if err := os.WriteFile(path, []byte(exported(t, GoBench, twoTargets(t, "django", "flask"))), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", "-C", tools, "golang.org/x/perf/cmd/benchstat", "-col", "/target", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"django", "flask", "answers/s", "+10", "p=0.002 n=6"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestOpenMetrics(t *testing.T) {
	lines := strings.Split(exported(t, OpenMetrics, twoTargets(t, "django", "flask")), "\n")
	if len(lines) != 16 || lines[0] != "# TYPE bakeoff_answers_per_second gauge" || lines[14] != "# EOF" ||
		!strings.HasPrefix(lines[2], `bakeoff_answers_per_second{plan="demo",target="django",block="1",phase="closed"} 100`) {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
}

func TestBencher(t *testing.T) {
	var out map[string]map[string]bencherMeasure
	if err := json.Unmarshal([]byte(exported(t, Bencher, twoTargets(t, "django", "flask"))), &out); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"django": 1002, "flask": 1107} {
		m := out[name]["throughput"]
		if m.Lower == nil || m.Upper == nil || m.Value < want-2 || m.Value > want+2 || *m.Lower >= m.Value || *m.Upper <= m.Value {
			t.Errorf("%s: %+v, want about %v", name, m, want)
		}
	}
}

// The logs are read by HdrHistogram's own reader, with every sample; the tables have one distribution for each target.
func TestHdr(t *testing.T) {
	r := twoTargets(t, "django", "flask")
	want := int64(0)
	for w, err := range Windows(r) {
		if err != nil {
			t.Fatal(err)
		}
		if w.Line.Service != nil {
			want += w.Line.Service.Count()
		}
	}
	read := hdrhistogram.NewHistogramLogReader(strings.NewReader(exported(t, HLog, r)))
	got := int64(0)
	for {
		h, err := read.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		if strings.HasSuffix(h.Tag(), ":service") {
			got += h.TotalCount()
		}
	}
	if got != want || want == 0 {
		t.Errorf("%d samples of service, the record has %d", got, want)
	}
	if text := exported(t, HGRM, r); strings.Count(text, "# django closed\n") != 1 || strings.Count(text, "# flask closed\n") != 1 || strings.Count(text, "#[Max") != 2 {
		t.Errorf("%s", text)
	}
}

// Names from outside are no formula, no other line and no other label.
func TestHostileNames(t *testing.T) {
	const evil = "=cmd|' /C calc'!A0\x1b[31m\" } 1\nx\u202e"
	if got := cellText(evil); !strings.HasPrefix(got, "'=") || strings.ContainsAny(got, "\x1b\n\u202e") {
		t.Errorf("%q", got)
	}
	if got := plainWord(evil); strings.ContainsAny(got, "\x1b\n\" =/\u202e") {
		t.Errorf("%q", got)
	}
	if got := labelText(evil); strings.Contains(got, "\n") || strings.Count(got, `"`) != 3 || !strings.Contains(got, `\"`) {
		t.Errorf("%q", got)
	}
}

// TestHdrLog has response before service of each window, no window without a time of day, each line that cannot be read
// among the problems, and an end when its context has ended.
func TestHdrLog(t *testing.T) {
	w := recordtest.Of(1, "a").Begin(t)
	tw, err := w.BeginTrial(1, 1, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	const windows = 12
	p := record.Phase{Number: 1, Name: "one", Model: "open", DurationS: 9, TimeoutS: 1, Started: recordtest.Epoch(), Ended: recordtest.Epoch().Add(9 * time.Second), Turns: &record.PhaseTurns{}}
	rng := rand.New(rand.NewPCG(1, 2))
	for second := range windows + 1 {
		l := recordtest.Window(rng, p, second, 0, 10, []record.Replica{{Name: "a-1"}})
		if second == windows {
			l.At = time.Time{}
		}
		if err := tw.Load(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{p}}), w.Finish(record.Complete, "")); err != nil {
		t.Fatal(err)
	}
	load := filepath.Join(w.Dir(), "trials", "1-1-a", "load.jsonl")
	text, err := os.ReadFile(load)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(load, append([]byte("gone\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := record.Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	problems, err := HLog(t.Context(), &out, r)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for line := range strings.Lines(out.String()) {
		if tag, _, ok := strings.Cut(line, ","); ok && strings.HasPrefix(tag, "Tag=") {
			words = append(words, tag[strings.LastIndexByte(tag, ':')+1:])
		}
	}
	if got, want := strings.Join(words, " "), strings.TrimSpace(strings.Repeat("response service ", windows)); got != want {
		t.Errorf("%s", got)
	}
	if text := fmt.Sprint(problems); !strings.Contains(text, "load.jsonl:1") || !strings.Contains(text, "not recorded: 1") {
		t.Errorf("problems %s", text)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, write := range map[string]func(context.Context, io.Writer, *record.Reader) ([]record.Problem, error){"hlog": HLog, "hgrm": HGRM} {
		if _, err := write(ended, io.Discard, r); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A generator that knows no response time has a table of its service times, which are called so.
func TestServiceTimesAreNamed(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := recordtest.Of(1, "a").Begin(t)
		tw, err := w.BeginTrial(1, 1, "a", 1)
		if err != nil {
			t.Fatal(err)
		}
		p := record.Phase{Number: 1, Name: "one", Model: "open", DurationS: 3, TimeoutS: 1, Started: recordtest.Epoch(), Ended: recordtest.Epoch().Add(3 * time.Second)}
		rng := rand.New(rand.NewPCG(1, 2))
		for second := range 3 {
			l := recordtest.Window(rng, p, second, 0, 10, []record.Replica{{Name: "a-1"}})
			if !known {
				l.Response = nil
			}
			if err := tw.Load(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{p}}), w.Finish(record.Complete, "")); err != nil {
			t.Fatal(err)
		}
		r, err := record.Open(w.Dir())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		problems, err := HGRM(t.Context(), &out, r)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(out.String(), "\n")
		if said := head == "# a one service time" && strings.Contains(fmt.Sprint(problems), "one has no response times"); said == known || !strings.Contains(body, "Value") {
			t.Errorf("response times known: %v: %q, %v", known, head, problems)
		}
	}
}
