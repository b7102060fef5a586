// Package exporttest has a real InfluxDB for tests, and asks it.
package exporttest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"bakeoff/internal/influxd"
)

// Needed skips a test unless those of collectors are asked for: they take their time, and real servers.
func Needed(t *testing.T) {
	t.Helper()
	if os.Getenv("BAKEOFF_COLLECTORS") == "" {
		t.Skip("SKIPPED: BAKEOFF_COLLECTORS is not set (make test-collectors)")
	}
}

// InfluxDB starts a private server and returns its URL; the test is skipped where none is installed, or where it is not Needed.
func InfluxDB(t *testing.T) string {
	t.Helper()
	Needed(t)
	program, err := influxd.Program()
	if err != nil {
		t.Skipf("SKIPPED: %v (Debian package %s)", err, influxd.Package)
	}
	c := influxd.Config{Dir: t.TempDir()}
	if c.Addr, c.RPC, err = influxd.Addresses(); err != nil {
		t.Fatal(err)
	}
	args, err := c.Write()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Await(ctx, ended); err != nil {
		t.Fatal(err)
	}
	return c.URL()
}

// A Row is one point as a query gives it: columns by name, tags among them.
type Row map[string]any

// Query asks an InfluxDB and returns all rows of all series.
func Query(t *testing.T, at, database, text string) []Row {
	t.Helper()
	res, err := http.Get(at + "/query?" + url.Values{"db": {database}, "q": {text}, "epoch": {"ns"}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct {
				Tags    map[string]string
				Columns []string
				Values  [][]any
			}
		}
	}
	dec := json.NewDecoder(res.Body)
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil || out.Error != "" {
		t.Fatalf("%s: %s %v", text, out.Error, err)
	}
	var rows []Row
	for _, result := range out.Results {
		if result.Error != "" {
			t.Fatalf("%s: %s", text, result.Error)
		}
		for _, s := range result.Series {
			for _, values := range s.Values {
				r := Row{}
				for key, tag := range s.Tags {
					r[key] = tag
				}
				for i, column := range s.Columns {
					r[column] = values[i]
				}
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// Float is a number of the row; the test fails where there is none.
func (r Row) Float(t *testing.T, name string) float64 {
	t.Helper()
	n, ok := r[name].(json.Number)
	if !ok {
		t.Fatalf("%s is %v in %v", name, r[name], r)
	}
	x, err := n.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return x
}
