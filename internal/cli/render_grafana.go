package cli

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"bakeoff/internal/grafana"
)

func renderGrafana(env Env) *cobra.Command {
	var out string
	var source grafana.Source
	cmd := &cobra.Command{
		Use: "grafana", Short: "write a data source and dashboards for a Grafana that shows an InfluxDB",
		Long: `grafana writes files that a Grafana of version 10 or later reads at its start: a data source, and
dashboards for the schemas bakeoff and jmeter. Copy or mount provisioning/ over Grafana's own folder of that name;
it names the folder of the dashboards. Every version is asked in InfluxQL. InfluxDB 2 needs a mapping of the
database onto a bucket for that; InfluxDB 2 and 3 need a token in Grafana's environment, as
BAKEOFF_INFLUXDB_TOKEN.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			u, err := url.Parse(source.URL)
			switch {
			case out == "":
				return misused("such as --out grafana", "grafana needs a folder with --out")
			case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil:
				return misused("such as http://127.0.0.1:8086", "--url is not that of a server")
			case source.Version < 1 || source.Version > 3:
				return misused("1, 2 or 3", "--influxdb %d is no version of InfluxDB", source.Version)
			case source.Database == "":
				return misused("such as --database bakeoff", "--database is empty")
			}
			return writeGrafana(env, source, out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&out, "out", "", "folder to write into")
	flags.StringVar(&source.URL, "url", "http://127.0.0.1:8086", "the InfluxDB, as Grafana reaches it")
	flags.StringVar(&source.Database, "database", managedDatabase, "its database")
	flags.IntVar(&source.Version, "influxdb", 1, "its version: 1, 2 or 3")
	return cmd
}

func writeGrafana(env Env, source grafana.Source, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return fmt.Errorf("grafana: %w", err)
	}
	files, err := grafana.Files(source, filepath.Join(out, "dashboards"))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), renameio.WriteFile(path, files[name], 0o644)); err != nil {
			return fmt.Errorf("grafana: %w", err)
		}
		fmt.Fprintln(env.Stdout, path)
	}
	return nil
}
