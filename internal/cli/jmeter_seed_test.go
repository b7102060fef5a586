package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
			if len(rows) == 1 && rows[0].Float(s.t, "n") == float64(want) && want > 0 {
				continue
			}
			says := fmt.Sprintf("%s: %s has %v, the record %d requests", target, measurement, rows, want)
			if why := s.listenerFailed(r); why != "" && measurement == jmeter.ListenerMeasurement {
				s.t.Logf("%s; JMeter itself could not write all: %s", says, why)
				continue
			}
			s.t.Error(says)
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

// listenerFailed is why JMeter's own listener has not written everything, on a machine that is too busy for it: a request that it
// gave up, or servers that it did not see together, because the first had ended before the second began. Empty: there is no reason.
func (s *scene) listenerFailed(r *record.Reader) string {
	s.t.Helper()
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, p := range trial.Phases {
			if spread := time.Duration(p.StartSpreadNS); spread.Seconds() > p.DurationS {
				return fmt.Sprintf("phase %s of %v s: its servers began %v apart", p.Name, p.DurationS, spread)
			}
		}
	}
	logs, err := filepath.Glob(filepath.Join(r.Dir(), "agents", "*-jmeter.log"))
	if err != nil || len(logs) == 0 {
		s.t.Fatalf("logs of JMeter: %v, %v", logs, err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "HttpMetricsSender") && (strings.Contains(line, " ERROR ") || strings.Contains(line, " WARN ")) {
				return line
			}
		}
	}
	return ""
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
