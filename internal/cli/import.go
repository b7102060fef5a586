package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"bakeoff/internal/jtl"
	"bakeoff/internal/show"
)

func importCommand(env Env) *cobra.Command {
	return parts(&cobra.Command{
		Use: "import", Short: "bring results of another program into a run directory",
	}, importJTL(env))
}

func importJTL(env Env) *cobra.Command {
	o := jtl.Options{Bakeoff: version()}
	cmd := &cobra.Command{
		Use: "jtl FILE", Short: "bring a result file of JMeter's into a run directory, for report, compare and audit",
		Long: `jtl reads a result file that a JMeter wrote as CSV with a header, and writes a run directory: each label is a
target with one trial. What the file does not say stays empty: intended times, and with them response times and
drops; the machine and its load; what anybody else counted. With one trial per target nothing is claimed.

A file of XML is refused, and one with rows that stand for several requests or with a second header, each by its
line.

exit status: 0 done; 1 the file cannot be read; 2 wrong usage`,
		Args: exactly(1, "one result file"),
		RunE: func(_ *cobra.Command, args []string) error { return bringJTL(env, o, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Root, "out", runsFolder, "folder in which to create the run directory")
	flags.StringVar(&o.Name, "name", "", "name of the run, of lower-case letters, digits and - (default: that of the file)")
	return cmd
}

func bringJTL(env Env, o jtl.Options, path string) error {
	o.File = filepath.Base(path)
	if o.Name == "" {
		o.Name = runName(o.File)
	}
	file, err := os.Open(path)
	if err != nil {
		return usageError{fmt.Errorf("import: %w", err)}
	}
	defer file.Close() // opened for reading
	found, err := jtl.Import(file, o)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	fmt.Fprintln(env.Stdout, found.Dir)
	fmt.Fprintf(env.Stderr, "bakeoff: %s of %s\n", show.Plural(int(found.Rows), "request"), show.Plural(len(found.Targets), "target"))
	fmt.Fprintf(env.Stderr, "bakeoff: hint: bakeoff report %s\n", show.Inert(found.Dir))
	return nil
}

// runName is a name for a run from a file's.
func runName(file string) string {
	text := strings.ToLower(strings.TrimSuffix(file, filepath.Ext(file)))
	name := strings.Trim(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, text), "-")
	if name == "" {
		return "imported"
	}
	return name[:min(len(name), 63)]
}
