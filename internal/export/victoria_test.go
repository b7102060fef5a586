package export

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"bakeoff/internal/export/exporttest"
	"bakeoff/internal/influxd"
	"bakeoff/internal/record/recordtest"
)

// victoriaEnv may name the program of another VictoriaMetrics than Debian's, which is too old for OpenTelemetry's metrics.
const victoriaEnv = "BAKEOFF_VICTORIA_METRICS"

// victoria starts a private VictoriaMetrics and returns its URL.
func victoria(t *testing.T) string {
	t.Helper()
	exporttest.Needed(t)
	program, err := exec.LookPath(cmp.Or(os.Getenv(victoriaEnv), "victoria-metrics"))
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

// TestVictoriaMetricsOTLP writes a run to a real VictoriaMetrics as OpenTelemetry's metrics, where its version takes them, and
// reads back what the counters and histograms have come to.
func TestVictoriaMetricsOTLP(t *testing.T) {
	at := victoria(t)
	to := OTLP{URL: at + "/opentelemetry"}
	found, err := to.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Missing) > 0 {
		t.Skipf("SKIPPED: this VictoriaMetrics takes no OpenTelemetry metrics (%s names another one): %v", victoriaEnv, found.Missing)
	}
	dir := recordtest.Demo().Write(t)
	counts, err := Backfill(t.Context(), dir, to, func(text string) { t.Log(text) })
	if err != nil || !counts.Whole() || counts.Written == 0 {
		t.Fatalf("%+v, %v", counts, err)
	}
	want := sums(t, dir, "")
	for metric, n := range map[string]float64{
		"bakeoff.requests.sent": float64(want.Books.Sent), "bakeoff.requests.completed": float64(want.Books.Sent),
		"bakeoff.response.duration_count": float64(want.Response.Count()), "bakeoff.service.duration_count": float64(want.Service.Count()),
		"bakeoff.response.duration_bucket": float64(want.Response.Count()),
	} {
		var got float64
		for deadline := time.Now().Add(60 * time.Second); got != n && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			got = 0
			for _, values := range samplesOf(t, at, fmt.Sprintf("{__name__=%q}", metric)) {
				got += values[len(values)-1]
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
	for _, values := range samplesOf(t, at, metric) {
		for _, x := range values {
			sum += x
		}
	}
	return sum
}

// samplesOf are the samples of each series of a metric, as VictoriaMetrics exports them.
func samplesOf(t *testing.T, at, metric string) (series [][]float64) {
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
		series = append(series, line.Values)
	}
	return series
}
