package dashboard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bakeoff/internal/record"
)

// runs are those of the folder, as record.List has them. What a run says that nobody writes is kept for as long as its files are as
// they were: a page of hundreds of runs reads none of them again.
type runs struct {
	root string

	mu    sync.Mutex
	known map[string]known // by directory
}

type known struct {
	listed record.Listed
	files  [2]mark // run.json and events.jsonl, as they were before they were read
}

// mark is by what a file is taken to be as it was; that of a file that is missing is zero.
type mark struct {
	bytes   int64
	changed time.Time
}

func newRuns(root string) *runs { return &runs{root: root, known: map[string]known{}} }

// list are the runs, the oldest first; a folder that is missing has none.
func (r *runs) list() ([]record.Listed, error) {
	entries, err := os.ReadDir(r.root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dashboard: list: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := make(map[string]known, len(entries))
	var out []record.Listed
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(r.root, e.Name())
		files := [2]mark{markOf(filepath.Join(dir, "run.json")), markOf(filepath.Join(dir, "events.jsonl"))}
		one, found := r.known[dir]
		if !found || one.listed.Live || one.files != files {
			one = known{record.Glance(dir), files}
		}
		now[dir] = one
		out = append(out, one.listed)
	}
	r.known = now
	return out, nil
}

func markOf(path string) mark {
	info, err := os.Lstat(path)
	if err != nil {
		return mark{}
	}
	return mark{info.Size(), info.ModTime()}
}
