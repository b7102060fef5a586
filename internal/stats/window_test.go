package stats

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyWindow draws a window in which everything is measured; times are whole milliseconds and quarters, so that sums are exact.
func anyWindow(t *rapid.T, second int) Window {
	count := func(name string) int64 { return rapid.Int64Range(0, 1000).Draw(t, name) }
	return Window{
		Begin: time.Duration(second) * time.Second, Length: time.Second,
		Books:    Books{Planned: count("planned"), Sent: count("sent"), Dropped: count("dropped"), OK: count("ok"), Bad: count("bad"), Timeout: count("timeout"), Error: count("error"), Late: count("late"), Queued: count("queued")},
		Outcomes: map[string]int64{"reset": count("reset")}, Status: map[int]int64{200: count("200")}, Lost: map[string]int64{"loop": count("loop")},
		Unwritten: count("unwritten"), Checked: count("checked"), Hits: count("hits"), Misses: count("misses"), Opened: count("opened"),
		Response: histogramOf(anySamples(t, "response")), Service: histogramOf(anySamples(t, "service")), Lateness: histogramOf(anySamples(t, "lateness")),
		Replicas: map[string]Replica{"a-" + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "replica"): {Answers: count("answers"), Errors: count("errors"), Service: histogramOf(anySamples(t, "replica's"))}},
		InFlight: new(float64(count("in flight")) / 4), ErrorTime: float64(count("error time")) / 4, CPU: time.Duration(count("cpu")), GCPause: time.Duration(count("pause")),
		Received: count("received"), Written: count("written"), Examples: map[string]string{"reset": rapid.SampledFrom([]string{"by a", "by b"}).Draw(t, "example")},
		BadResponse: rapid.SampledFrom([]*Histogram{nil, histogramOf([]sample{{1e6, false}})}).Draw(t, "bad response"), BadService: histogramOf(anySamples(t, "bad service")),
		URLs:      map[int]URL{rapid.IntRange(0, 2).Draw(t, "url"): {OK: count("url's ok"), Status: map[int]int64{200: count("url's status")}, Response: histogramOf(anySamples(t, "url's response")), Service: histogramOf(anySamples(t, "url's service"))}},
		Resources: &Resources{Descriptors: count("descriptors"), DescriptorLimit: 1000, Cores: 2, PortLow: 1, PortHigh: 9, Stopped: count("stopped"), Stolen: count("stolen")},
	}
}

func text(t interface{ Fatalf(string, ...any) }, v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(out)
}

// Every field of a window is in the sum, whatever the order and the grouping, and the windows stay as they are.
func TestTotalsAreTheSumInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyWindow(t, 0), anyWindow(t, 1), anyWindow(t, 2)
		before := text(t, []Window{a, b, c})
		of := func(windows ...Window) Totals {
			sum := Totals{Sending: 2 * time.Second}
			for _, w := range windows {
				sum.Add(w)
			}
			return sum
		}
		want := of(a, b, c)
		left, right := of(a), of(b, c)
		left.Merge(right)
		turned := Totals{Sending: 2 * time.Second}
		turned.Merge(Totals{})
		turned.Merge(of(c, b))
		turned.Merge(of(a))
		for name, got := range map[string]Totals{"a+(b+c)": left, "(c+b)+a": turned} {
			if diff := cmp.Diff(text(t, want), text(t, got)); diff != "" || got.Goodput() != want.Goodput() {
				t.Fatalf("%s: goodput %v, want %v; %s", name, got.Goodput(), want.Goodput(), diff)
			}
		}
		if want.Windows != 3 || want.Begin != 0 || want.Length != 3*time.Second {
			t.Fatalf("%d windows from %v, %v long", want.Windows, want.Begin, want.Length)
		}
		if want.Books.OK != a.Books.OK+b.Books.OK+c.Books.OK || *want.InFlight != *a.InFlight+*b.InFlight+*c.InFlight {
			t.Fatalf("books %+v, in flight %v", want.Books, *want.InFlight)
		}
		if diff := cmp.Diff(before, text(t, []Window{a, b, c})); diff != "" {
			t.Fatalf("a window that was added has changed: %s", diff)
		}
	})
}

// A field that Merge forgets is found: added to an empty sum, a window with something in every field gives itself.
func TestNoFieldIsForgotten(t *testing.T) {
	one := func() *Histogram { return histogramOf([]sample{{1e6, false}}) }
	w := Window{
		Begin: 3 * time.Second, Length: time.Second, Aside: true, Books: Books{1, 2, 3, 4, 5, 6, 7, 8, 9},
		Outcomes: map[string]int64{"reset": 1}, Status: map[int]int64{200: 2}, Lost: map[string]int64{"loop": 3},
		Unwritten: 4, Checked: 5, Wrong: 34, Hits: 6, Misses: 7, Opened: 8, Response: one(), Service: one(), Lateness: one(),
		Moves:    map[int]MoveSeen{2: {34, 35, 36, 37}},
		Examples: map[string]string{"reset": "by peer"}, Received: 26, Written: 27, BadResponse: one(), BadService: one(),
		URLs:     map[int]URL{1: {28, 29, 30, 31, map[int]int64{200: 33}, one(), one()}},
		Replicas: map[string]Replica{"a": {9, 10, one()}}, InFlight: new(11.5), ErrorTime: 12.5, CPU: 13, GCPause: 14,
		Resources: &Resources{Descriptors: 15, DescriptorLimit: 16, Ports: 17, PortLow: 18, PortHigh: 19, TimeWait: 20, Cores: 21, Stopped: 22, Starved: 23, Throttled: 24, Stolen: 25},
	}
	v := reflect.ValueOf(w)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is empty", v.Type().Field(i).Name)
		}
	}
	var sum Totals
	sum.Add(w)
	if diff := cmp.Diff(text(t, w), text(t, sum.Window)); diff != "" {
		t.Errorf("(-window +sum):\n%s", diff)
	}
}

// A server that has another name in every answer does not make the sum grow, and nothing is lost.
func TestNamesAreBounded(t *testing.T) {
	var sum Totals
	for n := range 3 * MaxNames {
		name := fmt.Sprint("name ", n)
		sum.Add(Window{Outcomes: map[string]int64{name: 2}, Replicas: map[string]Replica{name: {Answers: 1, Service: histogramOf([]sample{{1e6, false}})}}})
	}
	if len(sum.Outcomes) != MaxNames+1 || sum.Outcomes[Other] != 4*MaxNames || sum.Outcomes["name 0"] != 2 {
		t.Errorf("%d outcomes, others %d", len(sum.Outcomes), sum.Outcomes[Other])
	}
	if r := sum.Replicas[Other]; len(sum.Replicas) != MaxNames+1 || r.Answers != 2*MaxNames || r.Service.Count() != r.Answers {
		t.Errorf("%d replicas, others %+v", len(sum.Replicas), r)
	}
}

// What was not measured stays so in JSON and in every sum it is part of, on whichever side it stands.
func TestNotMeasured(t *testing.T) {
	measured := Window{
		Length: time.Second, Books: Books{Planned: 1, Sent: 1, OK: 1},
		Response: histogramOf([]sample{{1e6, false}}), Service: histogramOf([]sample{{1e6, false}}), Lateness: histogramOf([]sample{{1e3, false}}),
		Replicas: map[string]Replica{"a": {Answers: 1, Service: histogramOf([]sample{{1e6, false}})}},
		InFlight: new(0.5), Resources: &Resources{Cores: 2},
	}
	lacking := Window{Begin: time.Second, Length: time.Second, Books: Books{Planned: 2, Sent: 2, OK: 2}, Replicas: map[string]Replica{"a": {Answers: 2}}}
	raw := text(t, lacking)
	for _, field := range []string{"response", "service", "lateness", "in_flight_s", "resources"} {
		if strings.Contains(raw, `"`+field+`"`) {
			t.Errorf("%s is in %s", field, raw)
		}
	}
	var read Window
	if err := json.Unmarshal([]byte(raw), &read); err != nil || text(t, read) != raw {
		t.Errorf("%v: read as %s, written %s", err, text(t, read), raw)
	}
	zero := measured
	zero.InFlight, zero.Lateness = new(0.0), NewHistogram()
	if err := json.Unmarshal([]byte(text(t, zero)), &read); err != nil || read.InFlight == nil || read.Lateness == nil {
		t.Errorf("%v: nothing in flight and nobody late are measurements too: %s", err, text(t, zero))
	}
	for name, order := range map[string][]Window{"first": {lacking, measured}, "last": {measured, lacking}, "between": {measured, lacking, measured}} {
		var sum Totals
		for _, w := range order {
			sum.Add(w)
		}
		if sum.Response != nil || sum.Service != nil || sum.Lateness != nil || sum.InFlight != nil || sum.Resources != nil || sum.Replicas["a"].Service != nil {
			t.Errorf("%s: a sum without one of its parts: %s", name, text(t, sum.Window))
		}
		if sum.Books.OK < 3 || sum.Replicas["a"].Answers != sum.Books.OK {
			t.Errorf("%s: what both count is not in the sum: %s", name, text(t, sum.Window))
		}
		var all Totals
		all.Merge(sum)
		if all.Lateness != nil || all.Books != sum.Books {
			t.Errorf("%s: merged: %s", name, text(t, all.Window))
		}
	}
	var none *Histogram
	for range none.Each {
		t.Error("a value")
	}
	for range none.EachOver {
		t.Error("a bound")
	}
	if p := none.Percentile(50); p.Needs != 200 || p.Has != 0 {
		t.Errorf("a percentile of nothing: %+v", p)
	}
	if value, _ := none.Quantile(0.5); value+none.Mean()+none.Min()+none.Max() != 0 || none.Over()+none.Clamped()+none.Slower(0) != 0 {
		t.Error("what was not measured has samples")
	}
	if measured.Lateness.Count() != 1 {
		t.Errorf("a window that was added has changed: %d", measured.Lateness.Count())
	}
}

// Goodput is what was answered correctly within the sending time, over that time.
func TestGoodput(t *testing.T) {
	second := func(at, n int64) Window {
		return Window{Begin: time.Duration(at) * time.Second, Length: time.Second, Books: Books{OK: n}}
	}
	slice := func(at, length time.Duration, n int64) Window {
		return Window{Begin: at, Length: length, Books: Books{OK: n}}
	}
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		sending time.Duration
		windows []Window
		want    float64
	}{
		"two agents":                       {2 * time.Second, []Window{second(0, 10), second(0, 20), second(1, 30), second(1, 0)}, 30},
		"answers after the end":            {3 * time.Second, []Window{second(0, 1), second(1, 1), second(2, 2), second(3, 2)}, 4.0 / 3},
		"slices":                           {500 * ms, []Window{slice(0, 250*ms, 5), slice(250*ms, 250*ms, 10), slice(500*ms, 250*ms, 7)}, 30},
		"a window cut at the end":          {1500 * ms, []Window{second(0, 10), slice(time.Second, 500*ms, 20), slice(1500*ms, time.Second, 9)}, 20},
		"a window that reaches beyond it":  {1500 * ms, []Window{second(0, 10), second(1, 20)}, 10},
		"all of them do":                   {500 * ms, []Window{second(0, 10)}, 20},
		"none":                             {time.Second, nil, 0},
		"nobody says how long it sends":    {0, []Window{second(0, 10)}, 0},
		"a window without length is none":  {time.Second, []Window{slice(0, 0, 5), second(0, 10)}, 10},
		"a second in which no answer came": {2 * time.Second, []Window{second(0, 10), second(1, 0)}, 5},
	} {
		sum := Totals{Sending: c.sending}
		for _, w := range c.windows {
			sum.Add(w)
		}
		if got := sum.Goodput(); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v/s, want %v", name, got, c.want)
		}
	}
	cut := Totals{Sending: 2 * time.Second}
	cut.Add(second(0, 10))
	cut.Add(second(1, 5))
	cut.Sending = 1500 * ms // sending was interrupted then
	if got := cut.Goodput(); got != 10 {
		t.Errorf("interrupted: %v/s, want 15 in 1.5 s", got)
	}
}

func TestTotalsExact(t *testing.T) {
	var sum Totals
	sum.Add(Window{Books: Books{Planned: 2, Sent: 1, OK: 1}})
	if err := sum.Exact(); err == nil || !strings.Contains(err.Error(), "planned 2") {
		t.Errorf("books that are not exact: %v", err)
	}
	sum.Add(Window{Books: Books{Dropped: 1}})
	if err := sum.Exact(); err != nil {
		t.Error(err)
	}
}

// Times of ok answers are those of all answers less the bad ones', and unknown where those were not kept.
func TestTimesOfOKAnswers(t *testing.T) {
	w := Window{Books: Books{OK: 3, Bad: 2, Timeout: 1}, Response: NewHistogram(), Service: NewHistogram(), BadResponse: NewHistogram(), BadService: NewHistogram()}
	for i, ms := range []int64{10, 20, 30, 20, 500} {
		w.Response.Record(time.Duration(ms * 1e6))
		w.Service.Record(time.Duration(ms * 1e6))
		if i > 2 {
			w.BadResponse.Record(time.Duration(ms * 1e6))
			w.BadService.Record(time.Duration(ms * 1e6))
		}
	}
	w.Response.RecordOver(time.Second)
	for _, h := range []*Histogram{w.OKResponse(), w.OKService()} {
		if h.Count() != 3 || h.Over() != 0 || h.Max().Round(time.Millisecond) != 30*time.Millisecond || h.Mean().Round(time.Millisecond) != 20*time.Millisecond {
			t.Errorf("%d times, %d over, mean %v, max %v", h.Count(), h.Over(), h.Mean(), h.Max())
		}
	}
	if w.Response.Count() != 6 {
		t.Error("the whole has changed")
	}
	w.BadService = nil
	if h := w.OKService(); h != nil {
		t.Errorf("%d times are known of bad answers that nobody kept", h.Count())
	}
	w.Books.Bad = 0
	if h := w.OKService(); h.Count() != w.Service.Count() {
		t.Errorf("%d of %d", h.Count(), w.Service.Count())
	}
}
