package cli

import (
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
	if page, err := os.ReadFile(filepath.Join(dirs[1], "report.html")); err != nil || !strings.Contains(string(page), "Other runs: 1 other run of this plan") {
		t.Fatalf("the page names no other run: %v", err)
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
		if !strings.Contains(out.String(), "not audited: report.html:") || !strings.Contains(out.String(), "1 other run of this plan") {
			t.Errorf("the line on other runs is not named:\n%s", out.String())
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
