package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"bakeoff/internal/plan"
	"bakeoff/internal/report"
	"bakeoff/internal/show"
	"bakeoff/internal/verdict"
)

// verdictFlags are the flags of bakeoff verdict.
type verdictFlags struct {
	better string
	delta  string
	seed   uint64
	json   bool
}

func verdictCommand(env Env) *cobra.Command {
	var f verdictFlags
	cmd := &cobra.Command{
		Use:     "verdict FILE.csv",
		Short:   "judge a CSV file of measurements: which target is better, and by how much",
		Long:    verdictHelp,
		Example: verdictExamples,
		Args:    exactly(1, "one file, or - for standard input"),
		RunE: func(_ *cobra.Command, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			return writeVerdict(env, o, f.json, args[0])
		},
	}
	cmd.Flags().StringVar(&f.better, "better", string(verdict.Higher), "which values are better: higher or lower")
	cmd.Flags().StringVar(&f.delta, "delta", "3%", "the smallest difference that matters")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the sign flips that are drawn when a pair has more than 20 blocks")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

const verdictHelp = `verdict reads one value per block and target. For each pair of targets it says whether
one is better, both are equivalent, or neither is shown, and it gives each target its range of ranks.

The file is CSV. Its first line names the columns block, target and value, in any order. A
block is one stretch of time in which every target was measured once, in random order. A
value is above 0: a rate, a time, a size. A block counts for a pair only when it has values
of both targets. With a column position (the place of the target in its block, from 1), the
effect of the position is estimated too. With a column bound, a value may say that it only
bounds what was measured: "at least", "at most", or "about" where it may be either. It
counts, but what only such a value shows is not claimed.

Ratios are compared within blocks, by Student's paired t-test on their logarithms, adjusted
over all pairs by Holm's method. "better" also needs an estimate above --delta. What is
claimed is the end of the interval nearest to no difference, never the estimate. "within
3 %, a tie" is shown by two one-sided tests. What differs, but is not shown to differ by
more than --delta, is called that. Everything else is "not told apart", with the number of
blocks that would distinguish --delta from no difference. Percentages refer to the smaller
value.
docs/method.md has every rule with its reason.

A verdict covers what varied between the blocks. Blocks of one day on one machine say
nothing about other days and machines.

exit status: 0 judged, whatever the verdict; 2 a wrong file or flag`

const verdictExamples = `  bakeoff verdict throughput.csv
  bakeoff verdict --better lower --delta 5% --json p99.csv
  bakeoff verdict - < throughput.csv`

func (f *verdictFlags) options() (verdict.Options, error) {
	o := verdict.Options{Better: verdict.Direction(f.better), Seed: f.seed}
	if o.Better != verdict.Higher && o.Better != verdict.Lower {
		return o, usageError{fmt.Errorf("--better is %q (there are: higher, lower)", f.better)}
	}
	var err error
	o.Delta, err = parseDelta(f.delta)
	return o, err
}

// parseDelta reads a --delta.
func parseDelta(text string) (float64, error) {
	delta, err := verdict.ParseDelta(text)
	if err != nil {
		return 0, usageError{fmt.Errorf("--delta is %q: write a percentage above 0%% and below 100%%, such as 3%%", text)}
	}
	return delta, nil
}

// margin sets the plan's margin to that of a --delta; an empty one leaves it as it is.
func (p *planFile) margin(delta string) error {
	if delta == "" {
		return nil
	}
	margin, err := parseDelta(delta)
	if err == nil {
		p.Delta = plan.Delta(margin)
	}
	return err
}

// writeVerdict reads a file, judges, and prints.
func writeVerdict(env Env, o verdict.Options, asJSON bool, path string) error {
	table, err := readValues(env, path)
	if err != nil {
		return err
	}
	r, err := verdict.Judge(table, o)
	if err != nil {
		return usageError{err}
	}
	if !asJSON {
		return report.WriteVerdict(env.Stdout, r, show.Columns(env.Stdout))
	}
	enc := json.NewEncoder(env.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// readValues reads the CSV file at path, or standard input.
func readValues(env Env, path string) (*verdict.Table, error) {
	name, in := "standard input", env.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, usageError{fmt.Errorf("verdict: %w", err)}
		}
		defer file.Close()
		name, in = path, file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxValues+1))
	var atPath *fs.PathError
	switch {
	case errors.As(err, &atPath):
		return nil, usageError{fmt.Errorf("verdict: %w", err)}
	case err != nil:
		return nil, fmt.Errorf("verdict: read %s: %w", name, err)
	case len(data) > maxValues:
		return nil, usageError{fmt.Errorf("%s is larger than %d MiB", name, maxValues>>20)}
	}
	table, err := verdict.ReadCSV(name, data)
	if err != nil {
		return nil, usageError{err}
	}
	return table, nil
}

// maxValues bounds a file of values, in bytes.
const maxValues = 16 << 20
