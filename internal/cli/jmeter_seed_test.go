package cli_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/export"
	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/grafana"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/record"
)

// doneOf are the requests of each target that were answered, timed out or failed.
func doneOf(t *testing.T, r *record.Reader) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for w, err := range export.Windows(r) {
		if err != nil {
			t.Fatal(err)
		}
		b := w.Line.Books
		out[w.Target] += b.OK + b.Bad + b.Timeout + b.Error
	}
	return out
}

// bothArrived starts the managed InfluxDB of a run again. What bakeoff wrote and what JMeter's own listener wrote are both there, with
// the counts of the record for each target, and every panel of the dashboard of JMeter's measurements has an answer.
func (s *scene) bothArrived() {
	s.t.Helper()
	look, at := s.collector()
	r := s.open()
	done := doneOf(s.t, r)
	if len(done) != len(r.Run().Targets) {
		s.t.Errorf("requests of %v", done)
	}
	for target, want := range done {
		for _, measurement := range []string{"jmeter", jmeter.ListenerMeasurement} {
			rows := exporttest.Query(s.t, at, "bakeoff", fmt.Sprintf(`SELECT sum("count") AS n FROM %s WHERE "application"='%s' AND "transaction"='all' AND statut='all'`, measurement, target))
			if len(rows) != 1 || rows[0].Float(s.t, "n") != float64(want) || want == 0 {
				s.t.Errorf("%s: %s has %v, the record %d requests", target, measurement, rows, want)
			}
		}
		for _, d := range grafana.Dashboards() {
			if d.JMeter && askPanels(s.t, at, "bakeoff", d, r, target, map[string][]exporttest.Row{}) < 5 {
				s.t.Errorf("%s asks too little", d.UID)
			}
		}
	}
	look.signal(syscall.SIGINT)
	look.wantStatus(0, 30*time.Second)
}

// The seed's own way of measuring, in its short form: three targets of three replicas, a master and two servers, and an InfluxDB of
// the run that both bakeoff and JMeter write to.
func TestJMeterSeed(t *testing.T) {
	jmeterOnly(t)
	if !long() {
		t.Skip("SKIPPED: BAKEOFF_LONG=1, make test-long-jmeter: it takes four minutes")
	}
	s := newScene(t)
	skipMissing(t, s, "seed-jmeter")
	e := s.start("run", "--short", "seed-jmeter")
	e.wantStatus(0, 15*time.Minute)
	e.nothingLeft(5 * time.Second)
	s.noFiles()
	r := s.open()
	if run := r.Run(); run.Status != record.Complete || !run.Short || len(run.Targets) != 3 {
		t.Errorf("run: %s, short %v, %d targets", run.Status, run.Short, len(run.Targets))
	}
	for _, target := range r.Run().Targets {
		if target.Replicas != 3 {
			t.Errorf("%s has %d replicas", target.Name, target.Replicas)
		}
	}
	checkTrials(t, r)
	s.bothArrived()
}
