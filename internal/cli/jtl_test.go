package cli_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bakeoff/internal/export"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
	"bakeoff/internal/stats"
)

// jtlText is a result file of two labels, each with that many requests a second.
func jtlText(perSecond int) string {
	var b strings.Builder
	b.WriteString("timeStamp,elapsed,label,responseCode,responseMessage,threadName,success,bytes,sentBytes,grpThreads,allThreads\n")
	for i := range 10 * perSecond {
		for _, label := range []string{"GET /a", "GET /b"} {
			fmt.Fprintf(&b, "%d,%d,%s,200,OK,load 1-1,true,160,136,4,4\n", 1795406016000+int64(i*1000/perSecond), 5+i%20, label)
		}
	}
	return b.String()
}

// TestImportJTL reads, compares and audits results that somebody else's JMeter wrote, and claims nothing of them.
func TestImportJTL(t *testing.T) {
	s := newScene(t)
	var dirs []string
	for _, perSecond := range []int{100, 120} {
		file := s.write(fmt.Sprintf("by-%d.jtl", perSecond), jtlText(perSecond))
		dirs = append(dirs, strings.TrimSpace(s.run(0, "import", "jtl", file, "--out", s.path("runs")).stdout.String()))
	}
	report := s.run(0, "report", dirs[0]).stdout.String()
	wantAll(t, "report", report, "get-a", "get-b", "IMPORTED", "one trial per target", "on a machine that is not known")
	for _, claim := range []string{"faster", "slower", "is better"} {
		if strings.Contains(report, claim) {
			t.Errorf("the report says %q:\n%s", claim, report)
		}
	}
	s.run(0, "report", "--html", dirs[0])
	wantAll(t, "comparison", s.run(0, "compare", dirs[0], dirs[1]).stdout.String(), "get-a", "get-b")
	s.run(0, "audit", dirs[0])
	wantAll(t, "list", s.run(0, "list", "--out", s.path("runs")).stdout.String(), "by-100", "by-120")
	wantAll(t, "XML", s.run(1, "import", "jtl", s.write("x.jtl", "<testResults/>")).stderr.String(), "x.jtl:1: is XML")
	s.run(2, "import", "jtl", s.path("nowhere.jtl"))
}

// TestJMeterReport has JMeter make its own HTML report of an exported run: it takes every row, and its counts and percentiles
// are those of the record.
func TestJMeterReport(t *testing.T) {
	jmeterOnly(t)
	s := newScene(t)
	home := os.Getenv("JMETER_HOME")
	if home == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(cache, "bakeoff", "jmeter", "*", "bin", "ApacheJMeter.jar"))
		if err != nil || len(found) == 0 {
			t.Skipf("SKIPPED: JMeter has not been put together here: %v", err)
		}
		home = filepath.Dir(filepath.Dir(found[0]))
	}
	dir := recordtest.Demo().Write(t)
	file := s.path("out.jtl")
	s.run(0, "export", "jtl", dir, "--out", file)
	cmd := exec.Command("java", "-Xmx512m", "-Djava.awt.headless=true", "-Djava.util.prefs.userRoot="+s.path("tmp"),
		"-jar", filepath.Join(home, "bin", "ApacheJMeter.jar"), "-g", file, "-o", s.path("page"), "-j", s.path("jmeter.log"))
	cmd.Dir = s.dir
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	text, err := os.ReadFile(s.path("page", "statistics.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]struct {
		SampleCount, ErrorCount                 int64
		MedianResTime, Pct3ResTime, MeanResTime float64
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	r, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*stats.Totals{}
	for w, err := range export.Windows(r) {
		if err != nil || w.Warmup || w.Block == 0 {
			continue
		}
		label := w.Target + " " + w.PhaseName
		if want[label] == nil {
			want[label] = &stats.Totals{}
		}
		want[label].Add(w.Line.Window)
	}
	if len(got) != len(want)+1 || len(want) != 6 {
		t.Errorf("%d labels and the total, the record has %d", len(got), len(want))
	}
	for label, totals := range want {
		times := totals.Response
		if strings.HasSuffix(label, " closed") {
			times = totals.Service
		}
		median, _ := times.Quantile(0.5)
		p99, _ := times.Quantile(0.99)
		one := got[label]
		if one.SampleCount != totals.Books.Sent || one.ErrorCount != totals.Books.Sent-totals.Books.OK {
			t.Errorf("%s: %d samples, %d errors; the record has %+v", label, one.SampleCount, one.ErrorCount, totals.Books)
		}
		if math.Abs(one.MedianResTime-median.Seconds()*1000) > 1.5 || math.Abs(one.Pct3ResTime-p99.Seconds()*1000) > 1.5 {
			t.Errorf("%s: median %v ms, p99 %v ms; the record has %v and %v", label, one.MedianResTime, one.Pct3ResTime, median, p99)
		}
	}
}
