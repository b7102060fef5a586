package figures

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A run of format 1 gives the figures that it gave when it was made.
func TestFormat1(t *testing.T) {
	const old = "../record/testdata/format-1"
	s := build(t, old)
	raw, err := json.Marshal(s)
	check(t, err)
	then, err := os.ReadFile(old + "/summary.json")
	check(t, err)
	var got, want map[string]any
	check(t, json.Unmarshal(raw, &got))
	check(t, json.Unmarshal(then, &want))
	for _, list := range []string{"trials", "pilot"} { // a name that has changed since
		for _, trial := range want[list].([]any) {
			for _, phase := range trial.(map[string]any)["phases"].([]any) {
				p := phase.(map[string]any)
				p["agents"] = p["means"]
				delete(p, "means")
			}
		}
	}
	for _, part := range []string{"trials", "pilot", "phases"} {
		if diff := cmp.Diff(want[part], got[part]); diff != "" {
			t.Errorf("%s (-then +now):\n%s", part, diff)
		}
	}
	if want := "1 block of 3 s on 2 shared cores: flask"; s.Headline != want {
		t.Errorf("headline %q, want %q", s.Headline, want)
	}
}
