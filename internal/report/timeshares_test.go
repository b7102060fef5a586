package report

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// withShares are the figures of a run with a driver, and a phase that asks the replicas themselves.
func withShares(t *testing.T) *figures.Summary {
	t.Helper()
	r := recordtest.Of(6, "flask", "driver", "fastapi")
	r.Rate = func(target string, _ int) int {
		return map[string]int{"flask": 1000, "driver": 4000, "fastapi": 1200}[target]
	}
	r.OpenHz = 1250
	r.Head.Targets[1] = record.TargetInfo{Name: "driver", Kind: record.KindDriver, Title: "the database", Protocol: "text"}
	r.Change = func(tr *record.Trial) {
		i := slices.IndexFunc(tr.Phases, func(p record.Phase) bool { return p.Name == "open" })
		p := &tr.Phases[i]
		p.Name, p.Model, p.Rate, p.Arrivals, p.Connections, p.Direct = "closed-direct", "closed", 0, "", 32, true
	}
	return build(t, r.Write(t))
}

// Every form of the report has the shares of the time, and says of a driver that it is no server; the ranking does not have it.
func TestTimeSharesShown(t *testing.T) {
	s := withShares(t)
	var page bytes.Buffer
	check(t, WriteHTML(&page, s, figures.Others{}))
	forms := map[string]string{"text": asText(t, s), "Markdown": asMarkdown(t, s), "page": words(must[*html.Node](t)(html.Parse(bytes.NewReader(page.Bytes()))))}
	for form, text := range forms {
		text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), `\`, "")
		for _, want := range []string{
			"Shares of the time", "database and driver", "server and framework", "driver is no server: the agents asked the database themselves", "25.0 %", "20.0 %", "55.0 %", "30.0 %", "32.0 ms", "not deployed",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", form, want)
			}
		}
	}
	for _, row := range ranks(s, 0, 0).Rows {
		if slices.Contains(row, "driver") {
			t.Errorf("the driver is in the ranking: %q", row)
		}
	}
	data, err := json.Marshal(s)
	check(t, err)
	var shares struct {
		TimeShares []struct {
			Target   string
			Database struct{ Median float64 } `json:"database_and_driver"`
		} `json:"time_shares"`
	}
	check(t, json.Unmarshal(data, &shares))
	if len(shares.TimeShares) != 2 || shares.TimeShares[0].Target != "flask" || shares.TimeShares[0].Database.Median != 0.25 {
		t.Errorf("%+v", shares)
	}
	if text := asText(t, build(t, recordtest.Of(2, "flask").Write(t))); strings.Contains(text, "Shares of the time") {
		t.Error("a run without a driver or a pair has shares of the time")
	}
}
