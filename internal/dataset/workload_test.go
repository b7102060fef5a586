package dataset_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bakeoff/internal/dataset"
	"bakeoff/internal/load"
)

var _ load.Workload = (*dataset.Workload)(nil)

func newWorkload(t testing.TB, lookups string, ratio float64) *dataset.Workload {
	t.Helper()
	w, err := workloadOf(dataset.WorkloadSpec{
		Dataset: dataset.Spec{Rows: 5000, Seed: 1, MinLength: 1, MaxLength: 255}, Seed: 4, HitRatio: ratio, Lookups: lookups,
		LengthPresent: len(`{"name":"","exists":true,"id":}`), LengthAbsent: len(`{"name":"","exists":false,"id":null}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// workloadOf is the workload of a specification, over rows of its own.
func workloadOf(spec dataset.WorkloadSpec) (*dataset.Workload, error) {
	rows, err := dataset.New(spec.Dataset)
	if err != nil {
		return nil, err
	}
	return rows.Workload(spec)
}

// body is the right answer, as most targets write it.
func body(w *dataset.Workload, stream, n uint64) (text, key string, hit bool, id int64) {
	raw, hit, id := w.Keys().AppendKey(nil, stream, n)
	key = string(raw)
	if hit {
		return fmt.Sprintf(`{"name":"%s","exists":true,"id":%d}`, key, id), key, hit, id
	}
	return fmt.Sprintf(`{"name":"%s","exists":false,"id":null}`, key), key, hit, id
}

func TestRightAnswers(t *testing.T) {
	w := newWorkload(t, dataset.Client, 0.5)
	for n := range uint64(2000) {
		text, key, hit, id := body(w, 9, n)
		if got := string(w.AppendTarget(nil, 9, n)); got != "/demo?name="+key {
			t.Fatalf("target %q for key %q", got, key)
		}
		if why := w.Check(9, n, 200, []byte(text)); why != "" {
			t.Fatalf("%s: %s", text, why)
		}
		if !w.Length(9, n, int64(len(text))) || w.Length(9, n, int64(len(text)+1)) {
			t.Fatalf("%s: length %d is not told from %d", text, len(text), len(text)+1)
		}
		if got, known := w.Hit(9, n); !known || got != hit {
			t.Fatalf("%s: Hit is %t", text, got)
		}
		constant := len(`{"name":"","exists":false,"id":null}`)
		if hit {
			constant = len(`{"name":"","exists":true,"id":}`)
		}
		if got := dataset.Overhead(int64(len(text)), key, id); got != constant {
			t.Fatalf("%s: overhead %d, not %d", text, got, constant)
		}
	}
}

func TestWrongAnswers(t *testing.T) {
	w := newWorkload(t, dataset.Client, 1)
	text, key, _, id := body(w, 1, 1)
	if len(key) < 2 || id < 2 {
		t.Fatalf("choose another request: key %q, id %d", key, id)
	}
	escaped := fmt.Sprintf(`\u%04x`, key[0]) + key[1:]
	other, _, _, _ := body(w, 1, 2)
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{200, text, ""},
		{200, strings.ReplaceAll(text, ":", " :\n "), ""},
		{200, fmt.Sprintf("\t{\"id\": %d, \"exists\":true, \"name\": \"%s\"}\r\n", id, escaped), ""},
		{500, text, "status 500"},
		{404, "", "status 404"},
		{201, text, "status 201"},
		{200, "", "not json"},
		{200, "Internal Server Error", "not json"},
		{200, text[:len(text)-1], "not json"},
		{200, text + "}", "not json"},
		{200, text + text, "not json"},
		{200, strings.Replace(text, `"id":`, `"id":0`, 1), "not json"},
		{200, strings.Replace(text, `"id":`, `"id":-`, 1), "wrong fields"},
		{200, strings.Replace(text, `}`, `.0}`, 1), "wrong fields"},
		{200, strings.Replace(text, `}`, `e0}`, 1), "wrong fields"},
		{200, fmt.Sprintf(`{"name":"%s","exists":true,"id":"%d"}`, key, id), "wrong fields"},
		{200, fmt.Sprintf(`{"name":"%s","exists":true,"id":0}`, key), "wrong fields"},
		{200, fmt.Sprintf(`{"name":"%s","exists":1,"id":%d}`, key, id), "wrong fields"},
		{200, fmt.Sprintf(`{"name":"%s","exists":true,"id":%d,"more":1}`, key, id), "wrong fields"},
		{200, fmt.Sprintf(`{"name":"%s","name":"%s","id":%d}`, key, key, id), "wrong fields"},
		{200, fmt.Sprintf(`{"name":"%s","exists":true}`, key), "wrong fields"},
		{200, fmt.Sprintf(`{"name":null,"exists":true,"id":%d}`, id), "wrong fields"},
		{200, `{"error":"no connection"}`, "wrong fields"},
		{200, `[]`, "wrong fields"},
		{200, `null`, "wrong fields"},
		{200, `{}`, "wrong fields"},
		{200, other, "wrong name"},
		{200, strings.Replace(text, key, key+" ", 1), "wrong name"},
		{200, strings.Replace(text, key, "", 1), "wrong name"},
		{200, fmt.Sprintf(`{"name":"%s","exists":false,"id":null}`, key), "wrong exists"},
		{200, fmt.Sprintf(`{"name":"%s","exists":false,"id":%d}`, key, id), "wrong exists"},
		{200, fmt.Sprintf(`{"name":"%s","exists":true,"id":%d}`, key, id-1), "wrong id"},
		{200, fmt.Sprintf(`{"name":"%s","exists":true,"id":null}`, key), "wrong id"},
		{200, fmt.Sprintf(`{"name":"%s","exists":true,"id":99999999999999999999}`, key), "wrong fields"},
	} {
		if got := w.Check(1, 1, c.status, []byte(c.body)); got != c.want {
			t.Errorf("%d %s: %q, not %q", c.status, c.body, got, c.want)
		}
	}
	w = newWorkload(t, dataset.Client, 0)
	_, key, _, _ = body(w, 1, 1)
	for text, want := range map[string]string{
		fmt.Sprintf(`{"name":"%s","exists":false,"id":null}`, key): "",
		fmt.Sprintf(`{"name":"%s","exists":true,"id":null}`, key):  "wrong exists",
		fmt.Sprintf(`{"name":"%s","exists":false,"id":5}`, key):    "wrong id",
	} {
		if got := w.Check(1, 1, 200, []byte(text)); got != want {
			t.Errorf("%s: %q, not %q", text, got, want)
		}
	}
}

// TestServerLookups judges answers whose key the target drew.
func TestServerLookups(t *testing.T) {
	w := newWorkload(t, dataset.Server, 0.5)
	if got := string(w.AppendTarget(nil, 1, 1)); got != "/demo" {
		t.Errorf("target %q", got)
	}
	if _, known := w.Hit(1, 1); known || !w.Length(1, 1, 12345) {
		t.Error("something is claimed to be known of a key the target draws")
	}
	d, err := dataset.New(dataset.Spec{Rows: 5000, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	for id := int64(1); id <= d.Rows(); id += 7 {
		name := strings.ToUpper(d.Name(id))
		right := fmt.Sprintf(`{"name":"%s","exists":true,"id":%d}`, name, d.First(id))
		if why := w.Check(1, 1, 200, []byte(right)); why != "" {
			t.Fatalf("%s: %s", right, why)
		}
		if why := w.Check(1, 1, 200, []byte(fmt.Sprintf(`{"name":"%s","exists":false,"id":null}`, name))); why != "wrong exists" {
			t.Fatalf("%s denied: %q", name, why)
		}
	}
	for text, want := range map[string]string{
		`{"name":"thisnameisnotthere","exists":false,"id":null}`: "",
		`{"name":"thisnameisnotthere","exists":true,"id":1}`:     "wrong exists",
		`{"name":"","exists":false,"id":null}`:                   "wrong name",
		`{"name":"é","exists":false,"id":null}`:                  "wrong name",
	} {
		if got := w.Check(1, 1, 200, []byte(text)); got != want {
			t.Errorf("%s: %q, not %q", text, got, want)
		}
	}
}

func TestWorkloadSpecTravels(t *testing.T) {
	spec := dataset.WorkloadSpec{
		Dataset: dataset.Spec{Rows: 10, Seed: 1<<64 - 1, MinLength: 2, MaxLength: 3}, Seed: 1<<64 - 2, HitRatio: 0.25,
		Lookups: dataset.Client, LengthPresent: 30, LengthAbsent: -1,
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var back dataset.WorkloadSpec
	if err := json.Unmarshal(text, &back); err != nil || back != spec {
		t.Errorf("%s: %+v, %v", text, back, err)
	}
	for _, bad := range []func(*dataset.WorkloadSpec){
		func(s *dataset.WorkloadSpec) { s.Lookups = "" },
		func(s *dataset.WorkloadSpec) { s.HitRatio = 2 },
		func(s *dataset.WorkloadSpec) { s.Dataset.Rows = 0 },
	} {
		wrong := spec
		bad(&wrong)
		if _, err := workloadOf(wrong); err == nil {
			t.Errorf("%+v accepted", wrong)
		}
	}
}

// TestNoAllocations holds the hot paths of an agent.
func TestNoAllocations(t *testing.T) {
	w := newWorkload(t, dataset.Client, 0.5)
	buf := make([]byte, 0, 1024)
	bodies := make([][]byte, 100)
	for n := range bodies {
		text, _, _, _ := body(w, 1, uint64(n))
		bodies[n] = []byte(text)
	}
	n := uint64(0)
	got := testing.AllocsPerRun(1000, func() {
		n = (n + 1) % 100
		w.AppendTarget(buf, 1, n)
		w.Length(1, n, int64(len(bodies[n])))
		if why := w.Check(1, n, 200, bodies[n]); why != "" {
			t.Fatal(why)
		}
	})
	if got > 0 {
		t.Errorf("%v allocations per request", got)
	}
}

func BenchmarkCheck(b *testing.B) {
	w := newWorkload(b, dataset.Client, 0.5)
	text, _, _, _ := body(w, 1, 1)
	answer := []byte(text)
	b.ReportAllocs()
	for b.Loop() {
		w.Check(1, 1, 200, answer)
	}
}
