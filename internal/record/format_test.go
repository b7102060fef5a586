package record

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/stats"
)

var update = flag.Bool("update", false, "write the examples into docs/format.md, and neutral paths into the run of format 1")

const formatDoc = "../../docs/format.md"

func micros(ds ...int) *stats.Histogram {
	h := stats.NewHistogram()
	for _, d := range ds {
		h.Record(time.Duration(d) * time.Microsecond)
	}
	return h
}

func exampleRun() Run {
	return Run{
		Format: FormatVersion, Bakeoff: "0.1.0", Name: "demo", PlanDigest: sum([]byte("plan")), Seed: 20261123, Status: Complete,
		Started: began, Ended: began.Add(9 * time.Minute), Platform: "local",
		Machine: Machine{Fingerprint: "5d41402abc4b", Hostname: "bench", CPU: "Example CPU", Cores: 2, MemoryBytes: 8 << 30, Kernel: "6.1.0", OS: "Debian 12", Governor: "unknown"},
		Database: DatabaseInfo{
			Kind: "private", Vendor: "mariadb", Version: "10.11.14", MaxConnections: 120, Settings: map[string]string{"innodb_buffer_pool_size": "536870912"},
			Collation: "utf8mb4_general_ci", Rows: 1000000, Digest: sum([]byte("rows")), FillSeconds: 9.1, DigestAtFill: sum([]byte("rows")), DigestAtEnd: sum([]byte("rows")), Counter: "digest",
		},
		Balancer: BalancerInfo{Kind: "nginx", Version: "1.22.1", Settings: map[string]string{"keepalive": "64"}},
		Targets: []TargetInfo{{
			Name: "django", Recipe: "django", Title: "Django", Tags: []string{"python"}, Replicas: 3, Workers: 2, Pool: new(8), Protocol: "text", AccessLog: new(false),
			Settings: []Setting{{Name: "CONN_MAX_AGE", Value: "0", Default: "0", Source: "Django's documentation, Databases"}},
			Versions: map[string]string{"django": "5.2.8"}, Digest: sum([]byte("recipe")),
		}},
		Plan:     json.RawMessage(`{"name": "demo"}`),
		Pilot:    &Pilot{Throughput: map[string]float64{"django": 812.5}, Slowest: "django"},
		Order:    []Place{{0, 1, "django"}, {1, 1, "django"}},
		Measured: 56, Wall: 540,
	}
}

func exampleTrial() Trial {
	at := began.Add(time.Minute)
	return Trial{
		Format: FormatVersion, Block: 1, Position: 1, Target: "django", Attempt: 1, Status: Invalid,
		Reasons: []Reason{{Code: "agent-lost", Text: "agent 1 was silent for 2.1 s"}},
		Started: at, Ended: at.Add(20 * time.Second), Nonce: "6b1f0c",
		Replicas: []Replica{{
			Name: "django-1", Address: "127.0.0.1:40123", PID: 4710, ReadyS: 1.4,
			Workers: []Worker{{PID: 4711, Pool: 8, Protocol: "text", Overlap: &Overlap{100.01, 100.21, 100.02, 100.22}, Connections: 9}},
		}},
		Phases: []Phase{{
			Number: 1, Name: "closed", Model: "closed", Connections: 32, DurationS: 4, TimeoutS: 10, Started: at.Add(8 * time.Second), Ended: at.Add(12 * time.Second),
			StartSpreadNS: 80000, Starts: []Start{{Agent: 0, BeganNS: 110000, FirstNS: 70000, ClockErrorNS: 40000}, {Agent: 1, BeganNS: 30000, FirstNS: 20000, ClockErrorNS: 45000}},
			Witness: Witness{DatabaseReads: 3250, DatabaseOthers: map[string]int64{"set": 3250}, BalancerTotal: 3250, Connections: 3250},
		}},
		Checks:   []Check{{When: "before", Name: "present keys", OK: true}},
		Commands: []string{`cd targets/django && DATABASE_PASSWORD="$(cat FILE)" gunicorn app:application`},
		Timeline: []Step{{"start", 1.4}, {"verify", 0.6}, {"closed", 4.1}},
		Files:    []FileSeal{{"load.jsonl", 6024, sum([]byte("load"))}},
	}
}

func exampleLoad() Load {
	l := Load{
		Agent: 0, Epoch: 1, Sequence: 4, Phase: 1, At: began.Add(71 * time.Second),
	}
	l.Window = stats.Window{
		Begin: 3 * time.Second, Length: time.Second, Books: stats.Books{Planned: 3, Sent: 3, OK: 2, Timeout: 1},
		Outcomes: map[string]int64{"timeout": 1}, Status: map[int]int64{200: 2}, Checked: 1, Hits: 1, Misses: 1, Opened: 1,
		Response: micros(1500, 2500), Service: micros(1400, 2400), Lateness: micros(20, 30, 40),
		Replicas: map[string]stats.Replica{"django-1": {Answers: 2, Service: micros(1400, 2400)}}, InFlight: new(2.0), CPU: 41000000,
		Resources: &stats.Resources{
			Descriptors: 41, DescriptorLimit: 20000, Ports: 32, PortLow: 32768, PortHigh: 60999, Cores: 2,
			LoopCPU: []int64{38000000}, LoopWait: []int64{120000},
		},
	}
	l.Response.RecordOver(10 * time.Second)
	l.Service.RecordOver(10 * time.Second)
	return l
}

// examples returns the content of each example in the document.
func examples(t *testing.T) map[string]string {
	t.Helper()
	line := func(v any) string {
		raw, err := json.Marshal(v)
		check(t, err)
		return string(frame(raw))
	}
	plans := []FileSeal{sealBytes(planFile, []byte("given")), sealBytes(resolvedFile, []byte("resolved"))}
	run, err := encodeRun(exampleRun(), plans)
	check(t, err)
	trial, err := json.MarshalIndent(exampleTrial(), "", "  ")
	check(t, err)
	proof, err := json.Marshal(Proof{"1-1-django", 1, 1, "django", 1, Invalid, sum(append(trial, '\n'))})
	check(t, err)
	return map[string]string{
		runFile:    string(run),
		trialFile:  string(trial) + "\n",
		eventsFile: line(Event{Sequence: 12, At: began.Add(80 * time.Second), Kind: EventTrial, Fields: proof}),
		loadFile:   line(exampleLoad()),
		seriesFile: line(Series{
			At: began.Add(72 * time.Second), Phase: 1, Tier: "target", Name: "django-1/4711",
			CPUNS: 5120000000, RSSBytes: 61865984, PSSBytes: 38273024,
		}),
	}
}

// The examples in the document are what the code writes, byte for byte.
func TestDocumentedExamples(t *testing.T) {
	doc, err := os.ReadFile(formatDoc)
	check(t, err)
	seen := 0
	blocks := regexp.MustCompile("(?s)<!-- example: ([a-z.]+) -->\n```json\n(.*?)```\n")
	want := examples(t)
	out := blocks.ReplaceAllStringFunc(string(doc), func(found string) string {
		seen++
		name := blocks.FindStringSubmatch(found)[1]
		return "<!-- example: " + name + " -->\n```json\n" + want[name] + "```\n"
	})
	if seen != len(want) {
		t.Errorf("%d of %d examples are in the document", seen, len(want))
	}
	if *update {
		check(t, os.WriteFile(formatDoc, []byte(out), 0o644))
		return
	}
	if diff := cmp.Diff(out, string(doc)); diff != "" {
		t.Errorf("docs/format.md (-code +document), write it with -update:\n%s", diff)
	}
}

// Every field that is written is named in the document.
func TestDocumentedFields(t *testing.T) {
	doc, err := os.ReadFile(formatDoc)
	check(t, err)
	seen := map[reflect.Type]bool{}
	n := 0
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(of.Elem())
			return
		}
		if of.Kind() != reflect.Struct || seen[of] || of == reflect.TypeFor[time.Time]() || of == reflect.TypeFor[stats.Histogram]() {
			return
		}
		seen[of] = true
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "-" {
				continue // not written
			}
			if !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("field %s of %s is not in docs/format.md", name, of.Name())
			}
			n++
			walk(field.Type)
		}
	}
	for _, v := range []any{runEnvelope{}, Event{}, Begun{}, Progress{}, Proof{}, Abandoned{}, Trial{}, Load{}, Series{}} {
		walk(reflect.TypeOf(v))
	}
	for _, name := range []string{planFile, resolvedFile, asideFolder + "/", trialsFolder + "/", logsFolder + "/", reserveFile} {
		if !strings.Contains(string(doc), name) {
			t.Errorf("%s is not in docs/format.md", name)
		}
	}
	full := micros(1500)
	full.Record(time.Hour)
	full.RecordOver(time.Second)
	full.RecordOver(2 * time.Second)
	raw, err := json.Marshal(full)
	check(t, err)
	var parts map[string]any
	check(t, json.Unmarshal(raw, &parts))
	if len(parts) != 5 {
		t.Errorf("a histogram with everything in it is %s", raw)
	}
	for name := range parts {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("part %s of a histogram is not in docs/format.md", name)
		}
	}
	if n < 100 {
		t.Errorf("only %d fields were looked for", n)
	}
}
