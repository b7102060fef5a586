package figures

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// lacks lists what was in a tree of JSON and is not any more, or is another value.
func lacks(path string, then, now any) []string {
	var out []string
	switch then := then.(type) {
	case map[string]any:
		here, _ := now.(map[string]any)
		for key, value := range then {
			out = append(out, lacks(path+"."+key, value, here[key])...)
		}
	case []any:
		here, _ := now.([]any)
		if len(here) != len(then) {
			return []string{fmt.Sprintf("%s: %d items, now %d", path, len(then), len(here))}
		}
		for i, value := range then {
			out = append(out, lacks(fmt.Sprintf("%s[%d]", path, i), value, here[i])...)
		}
	default:
		if then != now {
			out = append(out, fmt.Sprintf("%s: %v, now %v", path, then, now))
		}
	}
	return out
}

// A run of format 1 gives the figures that it gave when it was made: to its JSON things were added since,
// nothing was taken away.
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
	for _, lost := range lacks("", want, got) {
		t.Error(lost)
	}
	if want := "1 block of 3 s on 2 shared cores: flask"; s.Headline != want {
		t.Errorf("headline %q, want %q", s.Headline, want)
	}
}
