package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/name, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		check(t, os.MkdirAll("testdata", 0o755))
		check(t, os.WriteFile(path, got, 0o644))
	}
	want := must[[]byte](t)(os.ReadFile(path))
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func asText(t *testing.T, s *figures.Summary) string {
	t.Helper()
	var b bytes.Buffer
	check(t, WriteText(&b, s, figures.Others{}, 0))
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	return b.String()
}

func asMarkdown(t *testing.T, s *figures.Summary) string {
	t.Helper()
	var b bytes.Buffer
	check(t, WriteMarkdown(&b, s, figures.Others{}))
	return b.String()
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// build computes the figures of a run directory.
func build(t *testing.T, dir string) *figures.Summary {
	t.Helper()
	return must[*figures.Summary](t)(figures.Build(must[*record.Reader](t)(record.Open(dir))))
}

// open reads what was written.
func open(t *testing.T, w *record.Writer) *figures.Summary {
	t.Helper()
	return build(t, w.Dir())
}

// has checks that every string is in the text, runs of white space counted as one space.
func has(t *testing.T, text string, wants ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ")
	for _, want := range wants {
		if !strings.Contains(flat, want) {
			t.Errorf("not in the report: %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestWholeRun(t *testing.T) {
	s := recordtest.Demo()
	w := s.Begin(t)
	s.Whole(t, w)
	check(t, w.Finish(record.Complete, ""))
	summary := open(t, w)
	golden(t, "whole.txt", []byte(asText(t, summary)))
	golden(t, "whole.md", []byte(asMarkdown(t, summary)))
}

// What is in no statistic is named, with the reason and what became of it.
func TestSpoiledRun(t *testing.T) {
	out := asText(t, build(t, recordtest.Spoiled(t)))
	has(t, out,
		"2 of 3 blocks of 8 s on 2 shared cores", "ABORTED: the run took longer than --max-time 4m0s; 6 of 9 trials finished", "django has a valid trial in 2 of 3 blocks",
		"2 django 1 invalid valid in attempt 2 agent-lost: agent 1 was silent for 2.1 s",
		"3 django 1 aborted not repeated", "3 flask 1 damaged not repeated load.jsonl: 5 bytes", "3 fastapi 1 unfinished not repeated",
		"django 2 invalid 12,080 12,080", "DAMAGED: 1 problem in the run directory", "trials/3-2-flask/load.jsonl: 5 bytes long, sealed with",
	)
	golden(t, "spoiled.txt", []byte(out))
}

// What a loader did not measure is said to be so, and is neither 0 nor a want of requests.
func TestWhatWasNotMeasuredIsSaid(t *testing.T) {
	has(t, asText(t, build(t, recordtest.Unmeasured(t))), "response time p50 django not measured - -", "1 #2 django open"+strings.Repeat(" n/m", 9), "stolen: what the host took of the machine. n/m: not measured.",
		"django 1 #2 500 500 500 0 0 0 0 n/m n/m 500", "#2: second attempt. n/m: not measured.", "django not measured not measured not measured 0 -")
}

// A percentile among time-outs is a lower bound, in a block and over blocks.
func TestTimeouts(t *testing.T) {
	s := recordtest.Of(3, "django")
	w := s.Begin(t)
	for block := 1; block <= 3; block++ {
		tw := must[*record.TrialWriter](t)(w.BeginTrial(block, 1, "django", 1))
		h := stats.NewHistogram()
		for range 1800 {
			h.Record(20 * time.Millisecond)
		}
		for range 200 + 20*block {
			h.RecordOver(10 * time.Second)
		}
		n := h.Count()
		check(t, tw.Load(record.Load{Phase: 2, Window: stats.Window{Length: time.Second, Books: stats.Books{Planned: n, Sent: n, OK: 1800, Timeout: n - 1800}, Outcomes: map[string]int64{"timeout": n - 1800}, Response: h, Service: h}}))
		phase := record.Phase{Number: 2, Name: "open", Model: "open", Connections: 256, Rate: 600, Arrivals: "poisson", DurationS: 4, TimeoutS: 10, Started: recordtest.Epoch(), Ended: recordtest.Epoch().Add(14 * time.Second)}
		check(t, tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{phase}}))
	}
	check(t, w.Finish(record.Complete, ""))
	has(t, asText(t, open(t, w)),
		"django 1 2,020 20.0 ms >10.0 s >10.0 s - (needs 10,000 requests, has 2,020)",
		"response time p90 django >10.0 s ¹ >10.0 s >10.0 s 3 of 3",
		"response time p99 django - (needs 10,000 requests, has 2,020) - - 0 of 3",
		"timeout 720",
	)
}

// Words from outside reach neither the terminal nor the Markdown as commands.
func TestHostileWords(t *testing.T) {
	s := recordtest.Of(1, "django")
	s.Head.Targets[0].Versions = map[string]string{"evil\x1b[31m": "1|2"}
	s.Head.Notes = []string{"a\u202eb <script>alert(1)</script> [x](http://y)"}
	w := s.Begin(t)
	s.Trial(t, w, 1, 1, "django", 1, func(tr *record.Trial) {
		tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: "contract", Text: "answer \x1b]0;x\a | <b>bold</b>\nnext line"}}
	})
	check(t, w.Finish(record.Complete, ""))
	summary := open(t, w)
	for name, out := range map[string]string{"text": asText(t, summary), "markdown": asMarkdown(t, summary)} {
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || r == '\u202e') }); i >= 0 {
			t.Errorf("%s holds a control character: %q", name, out[max(0, i-20):i+20])
		}
		if !strings.Contains(strings.Join(strings.Fields(out), " "), "next line") {
			t.Errorf("%s lacks the reason", name)
		}
	}
	md := asMarkdown(t, summary)
	for _, bad := range []string{"<script", "<b>", " [x]("} {
		if strings.Contains(md, bad) {
			t.Errorf("Markdown holds %q", bad)
		}
	}
	if !strings.Contains(md, `\| &lt;b>bold`) {
		t.Error("a bar inside a cell is not escaped")
	}
}

// Runs with little or nothing left of them still give a report.
func TestLittleIsLeft(t *testing.T) {
	s := recordtest.Demo()
	s.Head.Short, s.Head.Shared = true, true
	w := s.Begin(t)
	has(t, asText(t, open(t, w)), "0 of 3 blocks on 2 shared cores: django, flask and fastapi (short)", "SHORT:", "SHARED MACHINE:", "UNDER WAY: 0 of 9 trials finished so far", "no verdict: a short run")
	check(t, w.Close())
	has(t, asText(t, open(t, w)), "INCOMPLETE: the run was killed; 0 of 9 trials finished")

	empty := &recordtest.Run{Head: record.Run{Name: "bare"}}
	w = empty.Begin(t)
	check(t, w.Close())
	has(t, asText(t, open(t, w)), "bare: 0 blocks on 0 cores", "INCOMPLETE")
	has(t, asMarkdown(t, open(t, w)), "# bare: 0 blocks")
}

// Seven workers a replica, as in the seed: the page keeps its width.
func TestManyWorkers(t *testing.T) {
	s := recordtest.Of(1, "django")
	w := s.Begin(t)
	conns := []int{5, 28, 9, 4, 9, 5, 4}
	s.Trial(t, w, 1, 1, "django", 1, func(tr *record.Trial) {
		for i := range tr.Replicas {
			tr.Replicas[i].Workers = nil
			for _, n := range conns {
				tr.Replicas[i].Workers = append(tr.Replicas[i].Workers, record.Worker{Connections: n})
			}
		}
	})
	check(t, w.Finish(record.Complete, ""))
	has(t, asText(t, open(t, w)), "28/9/9/5/5/4/4")
}

func TestWriteList(t *testing.T) {
	var b bytes.Buffer
	check(t, WriteList(&b, []record.Listed{
		{Dir: "runs/a", Name: "demo", Status: record.Complete, Started: recordtest.Epoch(), Planned: 24, Finished: 24},
		{Dir: "runs/b", Name: "demo", Status: record.Incomplete, Live: true, Started: recordtest.Epoch().Add(time.Hour), Planned: 24, Finished: 3, Short: true, Shared: true},
		{Dir: "runs/c", Problem: "record: runs/c: no run here: run.json: missing"},
	}, 0))
	golden(t, "list.txt", b.Bytes())
}

// Where an agent was the limit the report shows next to the reason what the agents had.
func TestReportShowsWhatAgentsHad(t *testing.T) {
	s := recordtest.Demo()
	w := s.Begin(t)
	for _, p := range s.Head.Order {
		s.Trial(t, w, p.Block, p.Position, p.Target, 1, func(tr *record.Trial) {
			if p.Block == 1 && p.Target == "flask" {
				tr.Status = record.Invalid
				tr.Reasons = []record.Reason{{Code: "generator-limited", Text: "4,812 of 25,000 requests lost because no descriptors were left", Cause: "descriptors"}}
			}
		})
	}
	check(t, w.Finish(record.Complete, ""))
	var b strings.Builder
	check(t, WriteText(&b, open(t, w), figures.Others{}, 400))
	for _, want := range []string{"generator-limited: 4,812 of 25,000", "What the agents of such trials had", "41  1,024     16  28,232"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, b.String())
		}
	}
}
