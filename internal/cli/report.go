package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

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
}

func reportCommand(env Env) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "print the result of a run on one screen; --full prints everything, also as Markdown, SVG or JSON",
		Args:  exactly(1, "one run directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			if f.json {
				f.format = "json"
			}
			if f.full && f.format != "text" {
				return usageError{fmt.Errorf("--full is for text: %s always has everything", f.format)}
			}
			reader, err := record.Open(args[0])
			if err != nil {
				return err
			}
			if f.format == "text" && !f.full {
				_, err := writeScreen(env.Stdout, reader)
				return err
			}
			summary, err := figures.Build(reader)
			if err != nil {
				return err
			}
			return writeReport(env.Stdout, f.format, summary)
		},
	}
	cmd.Flags().StringVar(&f.format, "format", "text", "text, markdown, svg or json")
	cmd.Flags().BoolVar(&f.full, "full", false, "print everything, not one screen")
	cmd.Flags().BoolVar(&f.json, "json", false, "the same as --format json")
	return cmd
}

// writeScreen prints the end of a run, and returns its figures.
func writeScreen(w io.Writer, r *record.Reader) (*figures.Summary, error) {
	summary, err := figures.Build(r)
	if err != nil {
		return nil, err
	}
	others, err := figures.OtherRuns(r, summary)
	if err != nil {
		return nil, err
	}
	full := shell.Line([]string{"bakeoff", "report", r.Dir(), "--full"})
	return summary, report.WriteScreen(w, summary, others, full, show.Columns(w))
}

// writeReport prints everything.
func writeReport(w io.Writer, format string, s *figures.Summary) error {
	switch format {
	case "text":
		return report.WriteText(w, s, show.Columns(w))
	case "markdown":
		return report.WriteMarkdown(w, s)
	case "svg":
		return report.WriteSVG(w, s)
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return usageError{fmt.Errorf("unknown format %q (there are: text, markdown, svg, json)", format)}
}

// printResult prints the end of a run, and keeps the whole report in the run directory.
func printResult(env Env, dir string) error {
	reader, err := record.Open(dir)
	if err != nil {
		return err
	}
	summary, err := writeScreen(env.Stdout, reader)
	if err != nil {
		return err
	}
	return keepReport(dir, summary)
}

// keepReport writes summary.json and report.md into the run directory, each whole or not at all.
func keepReport(dir string, s *figures.Summary) error {
	for name, format := range map[string]string{"summary.json": "json", "report.md": "markdown"} {
		var text bytes.Buffer
		if err := writeReport(&text, format, s); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if err := renameio.WriteFile(filepath.Join(dir, name), text.Bytes(), 0o600); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}
