package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What somebody else changes in a trial's lines while it runs is found at its end, and the seals are those of what was written.
func TestIntact(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"nothing":     func(string) error { return nil },
		"emptied":     func(dir string) error { return os.WriteFile(filepath.Join(dir, loadFile), nil, 0o600) },
		"removed":     func(dir string) error { return os.Remove(filepath.Join(dir, seriesFile)) },
		"another one": func(dir string) error { return replaced(filepath.Join(dir, loadFile)) },
	} {
		t.Run(name, func(t *testing.T) {
			w, err := Create(t.TempDir(), Run{Name: "demo", Order: []Place{{1, 1, "flask"}}}, nil, nil, time.Now())
			check(t, err)
			trial, err := w.BeginTrial(1, 1, "flask", 1)
			check(t, err)
			check(t, trial.Load(exampleLoad()))
			check(t, trial.Series(Series{Tier: "host", Name: "host"}))
			check(t, trial.Load(exampleLoad()))
			check(t, change(trial.dir))
			err = trial.Intact()
			if changed := name != "nothing"; errors.Is(err, ErrRewritten) != changed {
				t.Errorf("%v", err)
			}
			check(t, trial.Finish(Trial{Status: Valid}))
			check(t, w.Finish(Complete, ""))
			r, err := Open(w.Dir())
			check(t, err)
			if state := r.Trials()[0].State; (state == Finished) != (name == "nothing") {
				t.Errorf("the trial is %s; problems %v", state, r.Problems())
			}
		})
	}
}

// replaced puts a file of the same length in the place of another.
func replaced(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), `"ok":2`, `"ok":3`, 1)), 0o600)
}
