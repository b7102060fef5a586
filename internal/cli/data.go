package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bakeoff/internal/controller"
	"bakeoff/internal/dataset"
	"bakeoff/internal/plan"
)

func dataCommand(env Env) *cobra.Command {
	return parts(&cobra.Command{
		Use: "data", Short: "the rows of a plan: generate, load, digest",
		Long: `data works with the rows of a plan's table alone. They depend only on the dataset of the
plan and are the same on every machine. A run fills its database itself.`,
	}, dataGenerate(env), dataDigest(env), dataLoad(env))
}

// rowsOf makes the dataset of a plan.
func rowsOf(env Env, path string) (*plan.Plan, *dataset.Dataset, error) {
	p, err := loadPlan(env, path)
	if err != nil {
		return nil, nil, err
	}
	if p.Running() {
		return nil, nil, usageError{controller.ErrNoData}
	}
	d, err := dataset.New(dataset.Spec{
		Rows: p.Dataset.Rows, Seed: p.Dataset.Seed, MinLength: p.Dataset.Lengths.Min, MaxLength: p.Dataset.Lengths.Max,
	})
	return p.Plan, d, err
}

func dataGenerate(env Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "generate PLAN", Short: "write the rows, one a line: id, tab, name", Args: exactly(1, "one plan"),
		RunE: func(_ *cobra.Command, args []string) error {
			_, rows, err := rowsOf(env, args[0])
			if err != nil {
				return err
			}
			var w io.Writer = env.Stdout
			if out != "-" {
				file, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
				if err != nil {
					return fmt.Errorf("data: %w", err)
				}
				_, err = rows.WriteTo(file)
				return errors.Join(err, file.Close())
			}
			_, err = rows.WriteTo(w)
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "-", "file to write, - for standard output")
	return cmd
}

func dataDigest(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "digest PLAN", Short: "print the digest of the rows, the same on every machine", Args: exactly(1, "one plan"),
		RunE: func(_ *cobra.Command, args []string) error {
			_, rows, err := rowsOf(env, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(env.Stdout, "%s  %d rows\n", rows.Digest(), rows.Rows())
			return nil
		},
	}
}

func dataLoad(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "load PLAN",
		Short: "fill the database of the plan: the external one, or the cache of private ones",
		Long: `load fills the external database of a plan, or the cache from which private ones are
started, and prints the digest read back from the server. A later run then needs no fill.`,
		Args: exactly(1, "one plan"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return loadData(cmd.Context(), env, args[0])
		},
	}
}

func loadData(ctx context.Context, env Env, path string) error {
	o, closePlatform, err := prepare(ctx, env, runFlags{platform: "local", share: true}, path)
	if err != nil {
		return err
	}
	progress := newProgress(env.Stderr, time.Now)
	o.Progress = progress.show
	info, err := controller.LoadData(ctx, o)
	progress.close()
	if err := errors.Join(err, closePlatform()); err != nil {
		return explain(err)
	}
	fmt.Fprintf(env.Stdout, "%s  %d rows in %.1f s, from cache: %v\n", info.DigestAtFill, info.Rows, info.FillSeconds, info.FromCache)
	return nil
}
