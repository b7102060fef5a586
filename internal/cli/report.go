package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/report"
	"bakeoff/internal/shell"
	"bakeoff/internal/show"
)

// reportFlags are the flags of bakeoff report.
type reportFlags struct {
	format string
	full   bool
	json   bool
	html   bool
	strict bool
}

func reportCommand(env Env) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "print the result of a run on one screen; --full prints everything, --html writes the page to share",
		Long: `report computes the figures of a run again from its directory and prints them. It needs no
server, changes no measurement, and also reads runs that were aborted, killed or are in
progress.

One screen has the verdict, the ranking with its intervals, what limited the result, and how
many trials were refused and why most often. --full adds the counts and percentiles of every
trial, CPU and memory of every replica and worker, refused trials with their reasons, and
every setting that is not a default.

exit status: 0 printed, whatever it says; 1 failed; 2 wrong usage; with --strict 3 when a
threshold of the plan is missed or undecided`,
		Args: exactly(1, "one run directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := f.resolve(); err != nil {
				return err
			}
			reader, err := record.Open(args[0])
			if err != nil {
				return err
			}
			return f.report(env, reader)
		},
	}
	cmd.Flags().StringVar(&f.format, "format", "text", "text, markdown, html, svg or json")
	cmd.Flags().BoolVar(&f.full, "full", false, "print everything, not one screen")
	cmd.Flags().BoolVar(&f.json, "json", false, "the same as --format json")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "exit with 3 when a threshold of the plan is missed or undecided")
	cmd.Flags().BoolVar(&f.html, "html", false, "write report.html into the run directory, and print its path")
	return cmd
}

// resolve takes the short forms for what they stand for, and refuses what does not go together.
func (f *reportFlags) resolve() error {
	if f.json {
		f.format = "json"
	}
	if f.full && f.format != "text" {
		return usageError{fmt.Errorf("--full is for text: %s always has everything", f.format)}
	}
	if f.html && (f.full || f.format != "text") {
		return usageError{errors.New("--html writes a file and prints nothing else: leave out the other flags, or use --format html for stdout")}
	}
	return nil
}

// report prints a run as the flags say.
func (f *reportFlags) report(env Env, reader *record.Reader) error {
	summary, err := figures.Build(reader)
	if err != nil {
		return err
	}
	err = f.write(env, reader, summary)
	if err == nil && f.strict {
		err = missed(summary, true)
	}
	return err
}

func (f *reportFlags) write(env Env, reader *record.Reader, summary *figures.Summary) (err error) {
	if f.format == "text" && !f.full && !f.html {
		err = writeSummary(env.Stdout, reader, summary)
		return err
	}
	others, err := figures.OtherRuns(reader, summary)
	switch {
	case err != nil:
		return err
	case f.format == "json":
		return writeJSON(env.Stdout, summary, others)
	case !f.html:
		return writeReport(env.Stdout, f.format, summary, others)
	}
	if err := keep(reader.Dir(), "report.html", "html", summary, others); err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, filepath.Join(reader.Dir(), "report.html"))
	return err
}

// writeSummary prints the end of a run whose figures are s.
func writeSummary(w io.Writer, r *record.Reader, s *figures.Summary) error {
	others, err := figures.OtherRuns(r, s)
	if err != nil {
		return err
	}
	return writeScreen(w, r, s, others)
}

// writeScreen is writeSummary where the figures of other runs are known.
func writeScreen(w io.Writer, r *record.Reader, s *figures.Summary, others figures.Others) error {
	full := shell.Line([]string{"bakeoff", "report", r.Dir(), "--full"})
	return report.WriteScreen(w, s, others, full, show.Columns(w))
}

// writeJSON prints all figures of a run, and what other runs of its plan say. The summary.json of its folder lacks the latter, which
// change when runs are added or removed.
func writeJSON(w io.Writer, s *figures.Summary, others figures.Others) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		*figures.Summary
		OtherRuns figures.Others `json:"other_runs"`
	}{s, others})
}

// writeReport prints everything that a report of the format holds.
func writeReport(w io.Writer, format string, s *figures.Summary, others figures.Others) error {
	switch format {
	case "text":
		return report.WriteText(w, s, others, show.Columns(w))
	case "markdown":
		return report.WriteMarkdown(w, s, others)
	case "html":
		return report.WriteHTML(w, s, others)
	case "svg":
		return report.WriteSVG(w, s)
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return usageError{fmt.Errorf("unknown format %q (there are: text, markdown, html, svg, json)", format)}
}

// printResult prints the end of a run, and keeps the whole report in the run directory; a threshold that is missed is an error, and
// that nobody reads what is printed is none.
func printResult(env Env, dir string, strict, asJSON bool) error {
	reader, err := record.Open(dir)
	if err != nil {
		return err
	}
	summary, err := figures.Build(reader)
	if err != nil {
		return err
	}
	others, err := figures.OtherRuns(reader, summary)
	kept := keepReports(dir, summary, others) // first: printing lasts as long as the reader likes
	switch {
	case err != nil:
	case asJSON:
		err = json.NewEncoder(env.Stdout).Encode(resultLine{At: summary.Run.Ended, Kind: "result", Run: dir, Summary: summary, OtherRuns: others})
	default:
		err = writeScreen(env.Stdout, reader, summary, others)
	}
	if nobodyReads(err) {
		err = nil
	}
	return errors.Join(err, kept, missed(summary, strict))
}

// resultLine is the last line of a run whose events are printed.
type resultLine struct {
	At      time.Time        `json:"at"`
	Kind    string           `json:"kind"` // "result", which no event of a record is
	Run     string           `json:"run"`  // the run directory
	Summary *figures.Summary `json:"summary"`

	OtherRuns figures.Others `json:"other_runs"` // of the same plan, in the same folder
}

// reportFile is a form of the report that a run directory holds.
type reportFile struct{ name, format string }

func reportFiles() []reportFile {
	return []reportFile{{figures.SummaryFile, "json"}, {"report.md", "markdown"}, {"report.html", "html"}}
}

// keepReports writes every form of the report into the run directory.
func keepReports(dir string, summary *figures.Summary, others figures.Others) error {
	for _, of := range reportFiles() {
		if err := keep(dir, of.name, of.format, summary, others); err != nil {
			return err
		}
	}
	return nil
}

// keep writes the whole report into the run directory, whole or not at all.
func keep(dir, name, format string, s *figures.Summary, others figures.Others) error {
	var text bytes.Buffer
	if err := writeReport(&text, format, s, others); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, name), text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
