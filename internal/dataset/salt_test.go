package dataset_test

import (
	"encoding/json"
	"strings"
	"testing"

	"bakeoff/internal/dataset"
)

func salted(t *testing.T, salt string) *dataset.Workload {
	t.Helper()
	raw, err := json.Marshal(dataset.WorkloadSpec{
		Dataset: dataset.Spec{Rows: 5000, Seed: 1, MinLength: 1, MaxLength: 255}, Seed: 4, HitRatio: 0.5, Salt: salt,
		Lookups: dataset.Client, LengthPresent: -1, LengthAbsent: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	var spec dataset.WorkloadSpec // as an agent gets it
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	w, err := workloadOf(spec)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Two agents with one salt ask for the same keys; with another salt, or none, the keys are others in the same proportion.
func TestSaltedKeys(t *testing.T) {
	agent, other := salted(t, "one"), salted(t, "one")
	for what, w := range map[string]*dataset.Workload{"another salt": salted(t, "two"), "no salt": salted(t, "")} {
		same, hits := 0, 0
		for n := range uint64(2000) {
			key, hit, id := agent.Keys().AppendKey(nil, 7, n)
			if again, againHit, againID := other.Keys().AppendKey(nil, 7, n); string(again) != string(key) || againHit != hit || againID != id {
				t.Fatalf("key %d differs between agents", n)
			}
			if hit {
				hits++
			}
			if different, _, _ := w.Keys().AppendKey(nil, 7, n); string(different) == string(key) {
				same++
			}
		}
		if same > 20 || hits < 900 || hits > 1100 { // some rows have short names in common
			t.Errorf("%s: %d of 2,000 keys are the same; %d hits", what, same, hits)
		}
	}
}

// Explain names the key, the right answer and what came.
func TestExplain(t *testing.T) {
	w := salted(t, "one")
	n := uint64(0)
	for !w.Keys().Hit(7, n) {
		n++
	}
	key, _, id := w.Keys().AppendKey(nil, 7, n)
	for body, want := range map[string]string{
		`{"name":"` + string(key) + `","exists":false,"id":null}`: ", got exists false, id null",
		`{"name":"X\u202e","exists":true,"id":9}`:                 `, got the name "X\u202e", exists true, id 9`,
		`<html>`: `, got the body "<html>"`,
	} {
		text := w.Explain(7, n, int64(len(body)), []byte(body))
		if !strings.HasPrefix(text, `key "`+string(key[:min(len(key), 40)])) || !strings.HasSuffix(text, want) {
			t.Errorf("%s\nwant it to end with %s", text, want)
		}
	}
	if text := w.Explain(7, n, 12, nil); !strings.HasSuffix(text, "got a body of 12 bytes") || !strings.Contains(text, "expected exists true, id ") || id == 0 {
		t.Errorf("%s", text)
	}
}
