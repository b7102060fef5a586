package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/report"
	"bakeoff/internal/show"
)

const compareHelp = `compare shows finished runs next to each other: first what differs in their plans, versions,
settings and machines, then the figures of each target with the ratio to the first run.

Ratios of runs on one machine have intervals. They cover what varies within the runs, not from run to run, so
they are no verdict. Runs on different machines get a ratio, a mark and no interval. A run is called by the name of
its folder, or as in LABEL=RUN.

With --baseline DIR one run is compared with the earlier runs of its plan in that folder, on the same machine.
Five or more with a figure of a target are needed: they predict where the next run is. With fewer the target is
"not comparable". An earlier run that cannot be read is left out, and counted.

--html FILE writes the same as one page, which needs no network and no script.

exit status: 0 compared, and not worse than predicted; 2 wrong usage; 3 a target is worse than predicted;
4 not comparable with the baseline`

type compareFlags struct {
	baseline, format, html string
	json                   bool
}

func compareCommand(env Env) *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use: "compare RUN... | compare RUN --baseline DIR", Short: "show several runs next to each other, or one against earlier runs",
		Long: compareHelp, Example: "  bakeoff compare old=runs/20261123T063000Z-demo new=runs/20261124T063000Z-demo\n  bakeoff compare runs/20261124T063000Z-demo --baseline runs",
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case f.format != "text" && f.format != "markdown":
				return usageError{fmt.Errorf("unknown format %q (there are: text, markdown)", f.format)}
			case f.baseline != "" && len(args) != 1:
				return usageError{fmt.Errorf("bakeoff compare --baseline takes one run, got %d", len(args))}
			case f.baseline == "" && len(args) < 2:
				return usageError{fmt.Errorf("bakeoff compare takes two or more runs, got %d", len(args))}
			case f.baseline != "":
				return f.expect(env.Stdout, args[0])
			}
			return f.compare(env.Stdout, args)
		},
	}
	cmd.Flags().StringVar(&f.baseline, "baseline", "", "folder of earlier runs to compare with")
	cmd.Flags().StringVar(&f.format, "format", "text", "text or markdown")
	cmd.Flags().StringVar(&f.html, "html", "", "write one self-contained page into this file, too")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// page writes the page of a comparison into the file that is asked for, whole or not at all.
func (f *compareFlags) page(write func(io.Writer) error) error {
	if f.html == "" {
		return nil
	}
	if err := writeFile(f.html, 0o644, write); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

// compare prints several runs against the first.
func (f *compareFlags) compare(w io.Writer, args []string) error {
	var runs []figures.Labelled
	for _, arg := range args {
		label, dir, found := strings.Cut(arg, "=")
		if !found || isFolder(arg) {
			label, dir = filepath.Base(arg), arg
		}
		if slices.ContainsFunc(runs, func(r figures.Labelled) bool { return r.Label == label }) {
			return misused("LABEL=RUN gives a run another name", "two runs are called %q", label)
		}
		r, s, err := finishedRun(dir)
		if err != nil {
			return err
		}
		runs = append(runs, figures.Labelled{Label: label, Run: r.Run(), Summary: s})
	}
	c, err := figures.Compare(runs)
	if err != nil {
		return usageError{err}
	}
	if err := f.page(func(w io.Writer) error { return report.WriteComparedHTML(w, c) }); err != nil {
		return err
	}
	if f.json {
		return writeIndented(w, c)
	}
	return report.WriteCompared(w, c, f.format == "markdown", show.Columns(w))
}

// expect prints a run against what earlier ones predict.
func (f *compareFlags) expect(w io.Writer, dir string) error {
	if !isFolder(f.baseline) {
		return usageError{fmt.Errorf("--baseline: %s is no folder", f.baseline)}
	}
	r, s, err := finishedRun(dir)
	if err != nil {
		return err
	}
	e, err := figures.Expect(r, s, f.baseline)
	if err != nil {
		return err
	}
	if err := f.page(func(w io.Writer) error { return report.WriteExpectedHTML(w, filepath.Base(filepath.Clean(dir)), e) }); err != nil {
		return err
	}
	if f.json {
		err = writeIndented(w, e)
	} else {
		err = report.WriteExpected(w, e, f.format == "markdown", show.Columns(w))
	}
	if err != nil {
		return err
	}
	return unexpected(e)
}

// errNoBaseline is returned when a run cannot be compared with the earlier ones of a folder.
var errNoBaseline = errors.New("no baseline")

// unexpected is the error for a run with a target that is worse than predicted, or that cannot be compared.
func unexpected(e figures.Expected) error {
	first := func(outcome string) int {
		return slices.IndexFunc(e.Targets, func(t figures.ExpectedTarget) bool { return t.Outcome == outcome })
	}
	if i := first(figures.Worse); i >= 0 {
		return fmt.Errorf("%w: %s is worse than %s predict", errWorse, e.Targets[i].Name, show.Plural(e.Targets[i].Earlier, "earlier run"))
	}
	i := first(figures.NotComparable)
	if i < 0 {
		return nil
	}
	if t := e.Targets[i]; t.Earlier < e.Fewest {
		return fmt.Errorf("%w: %s is not comparable: %s of this plan on this machine with a figure of it, a prediction needs %d",
			errNoBaseline, t.Name, show.Plural(t.Earlier, "earlier run"), e.Fewest)
	}
	return fmt.Errorf("%w: %s is not comparable: it has no figure in this run", errNoBaseline, e.Targets[i].Name)
}

// finishedRun reads a run that is not being written.
func finishedRun(dir string) (*record.Reader, *figures.Summary, error) {
	r, err := record.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	if r.Live() {
		return nil, nil, usageError{fmt.Errorf("%s is in progress: only finished runs can be compared", dir)}
	}
	s, err := figures.Build(r)
	return r, s, err
}

func writeIndented(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
