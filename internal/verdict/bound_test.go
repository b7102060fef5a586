package verdict

import (
	"fmt"
	"strings"
	"testing"
)

// A file's bounds withdraw the claims that they do not support, for both directions, and no others.
func TestBoundsOfAFile(t *testing.T) {
	for _, c := range []struct {
		bound  string // of one value of slow, which has half of what fast has
		better Direction
		want   Claim // on slow
	}{
		{"", Higher, Worse},
		{"at most", Higher, Worse},
		{"at least", Higher, Inconclusive},
		{"about", Higher, Inconclusive},
		{"", Lower, Better},
		{"at most", Lower, Better},
		{"at least", Lower, Inconclusive},
		{"about", Lower, Inconclusive},
	} {
		text := "block,target,value,bound\n"
		for block := range 8 {
			bound := ""
			if block == 3 {
				bound = c.bound
			}
			text += fmt.Sprintf("%d,fast,%d,\n%d,slow,%d,%s\n", block, 1000+block, block, 500-block, bound)
		}
		table, err := ReadCSV("x.csv", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Judge(table, Options{Delta: 0.03, Better: c.better})
		if err != nil {
			t.Fatal(err)
		}
		if got, found := r.Pair("slow", "fast"); !found || got.Verdict != c.want || (got.CappedBy != "") != (c.want == Inconclusive) {
			t.Errorf("%q, %s is better: %+v, want %s", c.bound, c.better, got, c.want)
		}
	}
	if _, err := ReadCSV("x.csv", []byte("block,target,value,bound\n1,a,2,>=\n")); err == nil || !strings.Contains(err.Error(), `x.csv:2: bound ">=" is none of: at least, at most, about`) {
		t.Errorf("%v", err)
	}
}
