package export

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"testing"
	"time"

	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/influxd"
	"bakeoff/internal/record/recordtest"
)

// victoria starts a private VictoriaMetrics and returns its URL.
func victoria(t *testing.T) string {
	t.Helper()
	exporttest.Needed(t)
	program, err := exec.LookPath("victoria-metrics")
	if err != nil {
		t.Skip("SKIPPED: victoria-metrics is not installed (Debian package victoria-metrics)")
	}
	addr, _, err := influxd.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-storageDataPath", t.TempDir(), "-httpListenAddr", addr, "-retentionPeriod", "100y", "-search.latencyOffset", "0s")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	if err := (influxd.Config{Addr: addr}).Await(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	return "http://" + addr
}

// TestVictoriaMetrics writes a run to a real VictoriaMetrics and reads the counts of the record back.
func TestVictoriaMetrics(t *testing.T) {
	at := victoria(t)
	demo := recordtest.Demo()
	dir := demo.Write(t)
	counts := backfill(t, dir, Influx{URL: at, Database: "x"}, SchemaBoth)
	if !counts.Whole() || counts.Written == 0 {
		t.Fatalf("%+v", counts)
	}
	want := sums(t, dir, "")
	done := float64(want.Books.OK + want.Books.Bad + want.Books.Timeout + want.Books.Error)
	for metric, n := range map[string]float64{
		`bakeoff_sent`: float64(want.Books.Sent), `bakeoff_hits`: float64(want.Hits), `jmeter_count{transaction="all",statut="all"}`: done,
	} {
		var got float64
		for deadline := time.Now().Add(60 * time.Second); got != n && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if got = sumOf(t, at, metric); got > n {
				break
			}
		}
		if got != n {
			t.Errorf("%s: %v, the record has %v", metric, got, n)
		}
	}
}

// sumOf adds up every sample of a metric, as VictoriaMetrics exports them.
func sumOf(t *testing.T, at, metric string) (sum float64) {
	t.Helper()
	from := recordtest.Epoch().Add(-time.Hour)
	res, err := http.Get(at + "/api/v1/export?" + url.Values{
		"match[]": {metric}, "start": {fmt.Sprint(from.Unix())}, "end": {fmt.Sprint(from.Add(24 * time.Hour).Unix())},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for dec := json.NewDecoder(res.Body); dec.More(); {
		var line struct{ Values []float64 }
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		for _, x := range line.Values {
			sum += x
		}
	}
	return sum
}
