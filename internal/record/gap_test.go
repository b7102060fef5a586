package record

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// An event that is missing as a whole is a problem with its place, and everything after it is read.
func TestGapInEvents(t *testing.T) {
	dir := smallRunIn(t, false)
	events := eventsOf(t, dir)
	gap := -1
	var out []byte
	for i, e := range events {
		if gap < 0 && e.Kind == EventBegun {
			gap = i
			continue
		}
		out = append(out, frame(asJSON(t, e))...)
	}
	check(t, os.WriteFile(filepath.Join(dir, eventsFile), out, fileMode))
	r := mustOpen(t, dir)
	want := Problem{fmt.Sprintf("%s:%d", eventsFile, gap+1), fmt.Sprintf("event %d where %d was due", events[gap+1].Sequence, events[gap].Sequence)}
	if got := r.Problems(); len(got) != 1 || got[0] != want {
		t.Errorf("problems %v, want %v", got, want)
	}
	if got := states(r, Finished); len(got) != 3 {
		t.Errorf("finished: %v, want 3", got)
	}
}
