package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bakeoff/internal/audit"
	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/report"
	"bakeoff/internal/show"
)

const auditHelp = `audit reads a run directory and computes every figure again. It checks
- the seal of every file of the record,
- every line of load.jsonl and series.jsonl,
- the reasons for which trials were refused, or warned of, from those lines,
- the status of every trial, against its reasons and its event,
- every byte of summary.json, report.md and report.html, against reports made from the record now.
The line "Other runs" of report.md and report.html depends on the runs that were in the folder when it was written.
Where it is not what the folder gives now, it is printed as not audited, and is no finding.
Each difference is printed with its file, and with its line where one can be known: a file that is sealed as a
whole, such as trial.json, has none.

Reports are compared with those that this version of bakeoff makes. After an update, "bakeoff report --html" and
others may differ; the seals and the reasons do not.

exit status: 0 all is as recorded; 1 something differs; 2 no run`

func auditCommand(env Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "audit RUN", Short: "compute every figure of a run again and compare: is everything as it was recorded?",
		Long: auditHelp, Args: exactly(1, "one run directory"),
		RunE: func(_ *cobra.Command, args []string) error { return auditRun(env.Stdout, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// errDiffers is returned when a run directory is not as it was recorded.
var errDiffers = errors.New("not as it was recorded")

func auditRun(w io.Writer, dir string, asJSON bool) error {
	reader, err := record.Open(dir)
	if err != nil {
		return err
	}
	found, err := audit.Run(reader, func(s *figures.Summary) ([]audit.Report, error) {
		others, err := figures.OtherRuns(reader, s)
		if err != nil {
			return nil, err
		}
		return reportsOf(s, others)
	})
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		err = enc.Encode(found)
	} else {
		err = printAudit(w, found)
	}
	if err != nil || len(found.Findings) == 0 {
		return err
	}
	other := ""
	if made := reader.Run().Bakeoff; made != version() {
		other = fmt.Sprintf(" (the run was made by bakeoff %s, this is %s)", made, version())
	}
	return fmt.Errorf("%s: %w: %s%s", dir, errDiffers, show.Plural(len(found.Findings), "finding"), other)
}

func printAudit(w io.Writer, found audit.Result) error {
	var b bytes.Buffer
	for _, p := range found.Findings {
		fmt.Fprintln(&b, show.Inert(p.String()))
	}
	fmt.Fprintf(&b, "judged again: %s with %s lines\n", show.Plural(found.Trials, "trial"), show.Count(found.Lines))
	if len(found.Reports) > 0 {
		fmt.Fprintf(&b, "computed again: %s\n", show.List(found.Reports))
	}
	if len(found.Absent) > 0 {
		fmt.Fprintf(&b, "not there: %s\n", show.List(found.Absent))
	}
	for _, p := range found.NotAudited {
		fmt.Fprintf(&b, "not audited: %s (it depends on the other runs in the folder)\n", show.Inert(p.String()))
	}
	fmt.Fprintf(&b, "%s\n", show.Plural(len(found.Findings), "finding"))
	_, err := w.Write(b.Bytes())
	return err
}

// reportsOf are the reports of a run as they are made now. Which other runs were in the folder when they were written is not
// recorded: what they say of them is not judged.
func reportsOf(s *figures.Summary, others figures.Others) ([]audit.Report, error) {
	var out []audit.Report
	for _, of := range reportFiles() {
		var text bytes.Buffer
		if err := writeReport(&text, of.format, s, others); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		apart := map[string]string{"html": report.OtherRunsLine, "markdown": report.OtherRunsPoint}[of.format]
		out = append(out, audit.Report{Name: of.name, Text: text.Bytes(), Apart: apart})
	}
	return out, nil
}
