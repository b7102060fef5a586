package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// A page that names other runs of the plan passes the audit after they were deleted, and after the run was copied elsewhere.
func TestAuditWithoutTheOtherRuns(t *testing.T) {
	root := t.TempDir()
	var dirs []string
	for hour := range 2 {
		r := recordtest.Of(6, "django", "flask")
		r.ClosedS, r.OpenS, r.Root = 2, 0, root
		r.Head.Started = recordtest.Epoch().Add(time.Duration(hour) * time.Hour)
		r.Rate = func(target string, block int) int { return 900 + 40*len(target) + 10*(block%3) }
		r.Change = func(trial *record.Trial) { trial.Phases = trial.Phases[1:] } // the lines have no warm-up
		dirs = append(dirs, r.Write(t))
	}
	reader, err := record.Open(dirs[1])
	fatal(t, err)
	s, err := figures.Build(reader)
	fatal(t, err)
	others, err := figures.OtherRuns(reader, s)
	fatal(t, err)
	fatal(t, keepReports(dirs[1], s, others))
	for _, name := range []string{"report.html", "report.md"} {
		if page, err := os.ReadFile(filepath.Join(dirs[1], name)); err != nil || !strings.Contains(string(page), "Other runs: 1 other run of this plan") {
			t.Fatalf("%s names no other run: %v", name, err)
		}
	}
	var printed struct {
		Headline  string
		OtherRuns figures.Others `json:"other_runs"`
	}
	var out bytes.Buffer
	fatal(t, (&reportFlags{format: "json"}).report(Env{Stdout: &out}, reader))
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil || printed.Headline != s.Headline || printed.OtherRuns.Runs != 1 || printed.OtherRuns.Ratios[0].This != others.Ratios[0].This {
		t.Errorf("as JSON: %v, %+v", err, printed)
	}
	var whole strings.Builder
	if err := auditRun(&whole, dirs[1], false); err != nil || strings.Contains(whole.String(), "not audited") {
		t.Errorf("what other runs say is as it was: %v\n%s", err, whole.String())
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(dirs[1]))
	fatal(t, os.CopyFS(copied, os.DirFS(dirs[1])))
	fatal(t, os.RemoveAll(dirs[0]))
	for _, dir := range []string{dirs[1], copied} {
		var out strings.Builder
		if err := auditRun(&out, dir, false); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
		if !strings.Contains(out.String(), "not audited: report.html:") || !strings.Contains(out.String(), "not audited: report.md:") ||
			strings.Count(out.String(), "1 other run of this plan") != 2 {
			t.Errorf("the lines on other runs are not named:\n%s", out.String())
		}
	}
	fatal(t, os.WriteFile(filepath.Join(copied, "report.md"), []byte("another"), 0o600))
	if err := auditRun(io.Discard, copied, false); err == nil {
		t.Error("another report.md passes")
	}
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
