package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/record"
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

func asText(t *testing.T, s *Summary) string {
	t.Helper()
	var b bytes.Buffer
	check(t, WriteText(&b, s, 0))
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	return b.String()
}

func asMarkdown(t *testing.T, s *Summary) string {
	t.Helper()
	var b bytes.Buffer
	check(t, WriteMarkdown(&b, s))
	return b.String()
}

// has checks that every string stands in the text, runs of white space counted as one space.
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
	s := demo()
	w := s.begin(t)
	s.whole(t, w)
	check(t, w.Finish(record.Complete, ""))
	summary := open(t, w)
	golden(t, "whole.txt", []byte(asText(t, summary)))
	golden(t, "whole.md", []byte(asMarkdown(t, summary)))
}

// summary.json of a run of one target and one block, so that the file can be read.
func TestSummaryJSON(t *testing.T) {
	s := demo().only("django", 1)
	w := s.begin(t)
	s.trial(t, w, 1, 1, "django", 1, nil)
	check(t, w.Update(func(r *record.Run) { r.Ended = epoch.Add(4 * time.Minute) }))
	check(t, w.Finish(record.Complete, ""))
	golden(t, "one.json", append(must[[]byte](t)(json.MarshalIndent(open(t, w), "", " ")), '\n'))
}

// What is in no statistic changes no statistic: the pilot, invalid, aborted, damaged and unfinished trials.
func TestOnlyValidTrialsCount(t *testing.T) {
	plain := demo()
	w := plain.begin(t)
	for _, p := range plain.run.Order {
		if p.Block > 0 && p != (record.Place{Block: 2, Position: 1, Target: "django"}) && p.Block != 3 {
			plain.trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	plain.trial(t, w, 2, 4, "django", 2, nil)
	check(t, w.Finish(record.Aborted, "test"))
	want := open(t, w).Phases

	spoiled := demo()
	w = spoiled.begin(t)
	for _, p := range spoiled.run.Order {
		switch {
		case p == record.Place{Block: 2, Position: 1, Target: "django"}:
			fast := demo()
			fast.rates["django"] = 3000
			fast.trial(t, w, 2, 1, "django", 1, func(tr *record.Trial) {
				tr.Status, tr.Reasons = record.Invalid, []record.Reason{{Code: "agent-lost", Text: "agent 1 was silent for 2.1 s"}}
			})
			spoiled.trial(t, w, 2, 4, "django", 2, nil)
		case p.Block < 3:
			spoiled.trial(t, w, p.Block, p.Position, p.Target, 1, nil)
		}
	}
	spoiled.trial(t, w, 3, 1, "django", 1, func(tr *record.Trial) { tr.Status = record.TrialAborted })
	spoiled.trial(t, w, 3, 2, "flask", 1, nil)
	check(t, os.WriteFile(filepath.Join(w.Dir(), "trials", "3-2-flask", "load.jsonl"), []byte("gone\n"), 0o600))
	begun := must[*record.TrialWriter](t)(w.BeginTrial(3, 3, "fastapi", 1))
	check(t, begun.Abandon("interrupted"))
	check(t, w.Finish(record.Aborted, "interrupted"))
	summary := open(t, w)
	if diff := cmp.Diff(want, summary.Phases); diff != "" {
		t.Errorf("figures (-only valid trials +all):\n%s", diff)
	}
	out := asText(t, summary)
	has(t, out,
		"2 of 3 blocks of 8 s on 2 shared cores", "ABORTED: interrupted; 6 of 9 trials finished", "django has a valid trial in 2 of 3 blocks",
		"2 django 1 invalid valid in attempt 2 agent-lost: agent 1 was silent for 2.1 s",
		"3 django 1 aborted not repeated", "3 flask 1 damaged not repeated load.jsonl: 5 bytes", "3 fastapi 1 unfinished not repeated",
		"django 2 invalid 12,080 12,080", "DAMAGED: 1 problem in the run directory", "trials/3-2-flask/load.jsonl: 5 bytes long, sealed with",
	)
	golden(t, "spoiled.txt", []byte(out))
}

// Every figure of one phase, against a second way of computing it.
func TestFigures(t *testing.T) {
	s := demo().only("django", 1)
	w := s.begin(t)
	s.trial(t, w, 1, 1, "django", 1, nil)
	check(t, w.Finish(record.Complete, ""))
	r := must[*record.Reader](t)(record.Open(w.Dir()))
	state := r.Trials()[0]
	pooled := stats.NewHistogram()
	for l, err := range state.Loads() {
		check(t, err)
		if l.Phase == 1 {
			pooled.Merge(l.Service)
		}
	}
	summary := must[*Summary](t)(Build(r))
	f := summary.Trials[0].Phases[0]
	p := summary.Phases[0].Targets[0]
	// 1010 per second for 4 s by two agents; replicas use 0.4 cores each, for 4 s.
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("planned", float64(f.Books.Planned), 4040)
	near("goodput", f.Goodput, 1010)
	near("offered", f.Offered, 1010)
	near("p50", f.Service[0].Seconds, pooled.Percentile(50).Value.Seconds())
	near("p95", f.Service[2].Seconds, pooled.Percentile(95).Value.Seconds())
	near("needs for p99", float64(f.Service[3].Needs), 10000)
	near("has for p99", float64(f.Service[3].Has), 4040)
	near("cores of the target", p.tier("target").Cores.Median, 0.8)
	near("CPU per answer", p.tier("target").PerReqS.Median, 0.8*4/4040)
	near("memory of the target", p.tier("target").Memory.Median, 180e6)
	near("cores of the busiest worker", p.Replicas[0].WorkerCores[0].Median, 0.3)
	near("connections of the busiest worker", p.Replicas[0].Connections[0].Median, 10)
	near("reads per request", p.Reads.Median, 1)
	near("rollbacks per request", p.Others["rollback"].Median, 0.5)
	near("hit ratio", float64(p.Hits)/float64(p.Hits+p.Misses), 2*4*252.0/4040)
	near("share of the first replica", f.Replicas[0].Share, 2*4*253.0/4040)
	near("imbalance", f.Imbalance, 2*2*4*253.0/4040)
	near("useful time", summary.Time.Useful, 8.0/240)
}

// Answers that come after sending has ended count in the books, not in the throughput.
func TestLateAnswersAreNoThroughput(t *testing.T) {
	s := demo().only("django", 1)
	w := s.begin(t)
	tw := must[*record.TrialWriter](t)(w.BeginTrial(1, 1, "django", 1))
	phase := record.Phase{Number: 1, Name: "closed", Model: "closed", Connections: 2, DurationS: 2, TimeoutS: 10, Started: epoch, Ended: epoch.Add(5 * time.Second)}
	for _, second := range []int{0, 1, 4} {
		check(t, tw.Load(record.Load{Phase: 1, Window: stats.Window{Begin: time.Duration(second) * time.Second, Length: time.Second, Books: stats.Books{Planned: 10, Sent: 10, OK: 10}}}))
	}
	check(t, tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{phase}}))
	f := open(t, w).Trials[0].Phases[0]
	if f.Goodput != 10 || f.Books.OK != 30 {
		t.Errorf("goodput %v, books %+v", f.Goodput, f.Books)
	}
	check(t, w.Close())
}

// What a loader did not measure is said to be so, and is neither 0 nor a want of requests.
func TestWhatWasNotMeasuredIsSaid(t *testing.T) {
	s := demo().only("django", 1)
	w := s.begin(t)
	service := stats.NewHistogram()
	service.RecordN(20*time.Millisecond, 500)
	phase := record.Phase{Number: 2, Name: "open", Model: "open", Connections: 8, Rate: 500, DurationS: 1, TimeoutS: 10, Started: epoch, Ended: epoch.Add(time.Second)}
	late := []record.Reason{{Code: record.CodeGeneratorLimited, Text: "late", Cause: record.CauseUnknown}}
	for i, status := range []string{record.Invalid, record.Valid} {
		tw := must[*record.TrialWriter](t)(w.BeginTrial(1, 1+i, "django", 1+i))
		check(t, tw.Load(record.Load{Phase: 2, Window: stats.Window{
			Length: time.Second, Books: stats.Books{Planned: 500, Sent: 500, OK: 500}, Service: service, Replicas: map[string]stats.Replica{"django-1": {Answers: 500}},
		}}))
		check(t, tw.Finish(record.Trial{
			Status: status, Reasons: late[:i], Phases: []record.Phase{phase}, Replicas: []record.Replica{{Name: "django-1"}, {Name: "django-2"}},
		}))
	}
	check(t, w.Finish(record.Complete, ""))
	summary := open(t, w)
	f := summary.Trials[0].Phases[0]
	if f.Agents != nil || !f.Response[0].Unmeasured || !f.Lateness[0].Unmeasured || f.Service[0].Unmeasured || f.Service[0].Seconds == 0 {
		t.Errorf("agents %+v, response %+v, lateness %+v, service %+v", f.Agents, f.Response[0], f.Lateness[0], f.Service[0])
	}
	if answered, silent := f.Replicas[0].Service[0], f.Replicas[1].Service[0]; !answered.Unmeasured || silent.Unmeasured {
		t.Errorf("replica that answered: %+v; one that did not: %+v", answered, silent)
	}
	has(t, asText(t, summary), "response time p50 django not measured - -", "1 #2 django open"+strings.Repeat(" n/m", 9), "stolen: what the host took of the machine. n/m: not measured.",
		"django 1 #2 500 500 500 0 0 0 0 n/m n/m 500", "#2: second attempt. n/m: not measured.", "django not measured not measured not measured 0 -")
}

// A percentile among time-outs is a lower bound, in a block and over blocks.
func TestTimeouts(t *testing.T) {
	s := demo().only("django", 3)
	w := s.begin(t)
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
		phase := record.Phase{Number: 2, Name: "open", Model: "open", Connections: 256, Rate: 600, Arrivals: "poisson", DurationS: 4, TimeoutS: 10, Started: epoch, Ended: epoch.Add(14 * time.Second)}
		check(t, tw.Finish(record.Trial{Status: record.Valid, Phases: []record.Phase{phase}}))
	}
	check(t, w.Finish(record.Complete, ""))
	has(t, asText(t, open(t, w)),
		"django 1 2,020 20.0 ms >10.0 s >10.0 s - (needs 10,000 requests, has 2,020)",
		"response time p90 django >10.0 s >10.0 s >10.0 s 3 of 3",
		"response time p99 django - (needs 10,000 requests, has 2,020) - - 0 of 3",
		"timeout 720",
	)
}

// Words from outside reach neither the terminal nor the Markdown as commands.
func TestHostileWords(t *testing.T) {
	s := demo().only("django", 1)
	s.run.Targets[0].Versions = map[string]string{"evil\x1b[31m": "1|2"}
	s.run.Notes = []string{"a\u202eb <script>alert(1)</script> [x](http://y)"}
	w := s.begin(t)
	s.trial(t, w, 1, 1, "django", 1, func(tr *record.Trial) {
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

// Runs of which little or nothing is left still give a report.
func TestLittleIsLeft(t *testing.T) {
	s := demo()
	s.run.Short, s.run.Shared = true, true
	w := s.begin(t)
	has(t, asText(t, open(t, w)), "0 of 3 blocks on 2 shared cores: django, flask and fastapi (short)", "SHORT:", "SHARED MACHINE:", "UNDER WAY: 0 of 9 trials finished so far", "No winner is claimed")
	check(t, w.Close())
	has(t, asText(t, open(t, w)), "INCOMPLETE: the run was killed; 0 of 9 trials finished")

	empty := &synthetic{run: record.Run{Name: "bare"}}
	w = empty.begin(t)
	check(t, w.Close())
	has(t, asText(t, open(t, w)), "bare: 0 blocks on 0 cores", "INCOMPLETE")
	has(t, asMarkdown(t, open(t, w)), "# bare: 0 blocks")
}

// Seven workers a replica, as in the seed: the page keeps its width.
func TestManyWorkers(t *testing.T) {
	s := demo().only("django", 1)
	w := s.begin(t)
	conns := []int{5, 28, 9, 4, 9, 5, 4}
	s.trial(t, w, 1, 1, "django", 1, func(tr *record.Trial) {
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
		{Dir: "runs/a", Name: "demo", Status: record.Complete, Started: epoch, Planned: 24, Finished: 24},
		{Dir: "runs/b", Name: "demo", Status: record.Incomplete, Live: true, Started: epoch.Add(time.Hour), Planned: 24, Finished: 3, Short: true, Shared: true},
		{Dir: "runs/c", Problem: "record: runs/c: no run here: run.json: missing"},
	}, 0))
	golden(t, "list.txt", b.Bytes())
}

// Where an agent was the limit the report shows beside the reason what the agents had.
func TestReportShowsWhatAgentsHad(t *testing.T) {
	s := demo()
	w := s.begin(t)
	for _, p := range s.run.Order {
		s.trial(t, w, p.Block, p.Position, p.Target, 1, func(tr *record.Trial) {
			if p.Block == 1 && p.Target == "flask" {
				tr.Status = record.Invalid
				tr.Reasons = []record.Reason{{Code: "generator-limited", Text: "4,812 of 25,000 requests lost for want of descriptors", Cause: "descriptors"}}
			}
		})
	}
	check(t, w.Finish(record.Complete, ""))
	var b strings.Builder
	check(t, WriteText(&b, open(t, w), 400))
	for _, want := range []string{"generator-limited: 4,812 of 25,000", "What the agents of such trials had", "41  1,024     16  28,232"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, b.String())
		}
	}
}
