package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bakeoff/internal/export"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

func exportCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export FORMAT RUN",
		Short: "write a recorded run in another program's format",
		Long: `export writes the contents of a run directory in another format, to standard output or into a
file. It changes nothing in the run. Any run can be exported, also one that has not ended. Of a
damaged trial it writes what can still be read, and a warning on standard error.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("export takes a format and a run directory")}
			}
			return misused("'bakeoff export --help' lists the formats", "unknown format %q", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, f := range export.Formats() {
		cmd.AddCommand(exportFormat(env, f))
	}
	cmd.AddCommand(exportInflux(env), exportOTLP(env))
	return cmd
}

func exportFormat(env Env, f export.Format) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: f.Name + " RUN", Short: f.Short, Args: exactly(1, "one run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := record.Open(args[0])
			if err != nil {
				return err
			}
			return toFile(env, out, func(w io.Writer) error {
				problems, err := f.Write(cmd.Context(), w, r)
				warnOf(env, problems)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "-", "file to write, - for standard output")
	return cmd
}

// toFile has a file written, as a whole or not at all, or standard output where the name is "-".
func toFile(env Env, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(env.Stdout)
	}
	var failed error
	err := writeFile(name, 0o600, func(w io.Writer) error {
		failed = write(w)
		return failed
	})
	if failed == nil && err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return failed
}

// warnOf says what of a run could not be read.
func warnOf(env Env, problems []record.Problem) {
	for _, p := range problems {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: left out: %s\n", show.InertLines(p.String()))
	}
}
