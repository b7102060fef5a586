package record

import (
	"testing"
	"time"

	"bakeoff/internal/stats"
)

func TestSmoke(t *testing.T) {
	root := t.TempDir() + "/runs"
	w, err := Create(root, Run{Name: "demo", PlanDigest: "abc", Order: []Place{{1, 1, "a"}, {1, 2, "b"}}}, []byte("given"), []byte("resolved"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tw, err := w.BeginTrial(1, 1, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	h := stats.NewHistogram()
	if err := tw.Load(Load{Response: h, Service: h, Lateness: h}); err != nil {
		t.Fatal(err)
	}
	if err := tw.Finish(Trial{Status: Valid}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(w.Dir())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Problems(), r.Trials())
	w, left, err := Resume(w.Dir(), "abc", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(left)
	if err := w.Finish(Complete, ""); err != nil {
		t.Fatal(err)
	}
	r, err = Open(w.Dir())
	t.Log(r.Problems(), r.Run().Status, err)
	l, err := List(root)
	t.Logf("%+v %v", l, err)
}
