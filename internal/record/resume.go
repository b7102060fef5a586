package record

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A PlanChangedError says that a run was begun with another plan than the one
// it shall resume.
type PlanChangedError struct {
	Dir      string // its plan.yaml and plan.resolved.yaml hold the recorded plan
	Recorded string // digest
	Given    string // digest
}

func (e *PlanChangedError) Error() string {
	return fmt.Sprintf("the plan of %s has changed since the run began: digest %.12s, was %.12s", e.Dir, e.Given, e.Recorded)
}

// An OldRunError says that a run is of a format that can be read, but not resumed: its lines would be of
// two kinds.
type OldRunError struct {
	Dir string
	Has int
}

func (e *OldRunError) Error() string {
	return fmt.Sprintf("%s is of format %d and this bakeoff writes format %d: it can be read and reported, but not resumed; start a new run", e.Dir, e.Has, FormatVersion)
}

// ErrComplete is returned by Resume for a run that has nothing left to do.
var ErrComplete = errors.New("the run is complete")

// Resume opens a run that was killed or aborted, to resume it: it cuts the torn end of
// events.jsonl, moves the folders of unfinished and damaged trials aside, and
// returns the places of the stored order that no finished trial holds, in that order. An
// invalid trial holds its place; whether to repeat it is the caller's to
// say. It refuses with ErrInUse while the run is written, with ErrComplete, with an
// OldRunError, and with a PlanChangedError when planDigest is not the recorded one.
func Resume(dir, planDigest string, now time.Time) (*Writer, []Place, error) {
	w, left, err := resume(&disk{}, dir, planDigest, now)
	if err != nil {
		return nil, nil, fmt.Errorf("record: resume %s: %w", dir, err)
	}
	return w, left, nil
}

func resume(d *disk, dir, planDigest string, now time.Time) (*Writer, []Place, error) {
	if _, err := openRun(dir); err != nil {
		return nil, nil, err // before a file is made where no run is
	}
	events, err := d.append(filepath.Join(dir, eventsFile))
	if err != nil {
		return nil, nil, err
	}
	w := &Writer{dir: dir, disk: d, now: time.Now, events: events, finished: map[string]bool{}, digest: sha256.New()}
	left, err := w.takeUp(planDigest, now)
	if err != nil {
		return nil, nil, errors.Join(err, w.Close())
	}
	return w, left, nil
}

// takeUp brings a run directory back into the state between two trials.
func (w *Writer) takeUp(planDigest string, now time.Time) ([]Place, error) {
	if err := lock(w.events.os); err != nil {
		return nil, err
	}
	r, err := Open(w.dir)
	if err != nil {
		return nil, err
	}
	if r.run.Status == Complete {
		return nil, ErrComplete
	}
	if r.run.Format != FormatVersion {
		return nil, &OldRunError{w.dir, r.run.Format}
	}
	if r.run.PlanDigest != planDigest {
		return nil, &PlanChangedError{w.dir, r.run.PlanDigest, planDigest}
	}
	w.run = r.run
	w.run.Status, w.run.Reason, w.run.Ended = Incomplete, "", time.Time{}
	w.run.Resumed++
	if err := w.clean(r); err != nil {
		return nil, err
	}
	if err := w.writeRun(); err != nil {
		return nil, err
	}
	left := r.Remaining()
	return left, w.event(EventResumed, map[string]any{"at": now, "remaining": len(left)}, true)
}

// clean removes what the killed writer left half done.
func (w *Writer) clean(r *Reader) error {
	if err := w.events.truncate(r.intact); err != nil {
		return err
	}
	if n, err := io.Copy(w.digest, io.NewSectionReader(w.events.os, 0, r.intact)); err != nil || n != r.intact {
		return fmt.Errorf("%s: %d of %d bytes read: %w", eventsFile, n, r.intact, err)
	}
	w.size = r.intact
	w.sequence = r.log.last
	for _, s := range r.files {
		if s.Path != eventsFile { // it grows again
			w.plans = append(w.plans, s)
		}
	}
	if err := w.disk.remove(temporaryName(filepath.Join(w.dir, runFile))); err != nil {
		return err
	}
	for _, t := range r.trials {
		if t.settled() {
			w.finished[t.Folder] = true
			continue
		}
		if err := w.asideIfThere(t.Folder); err != nil {
			return err
		}
	}
	if err := w.disk.mkdir(filepath.Join(w.dir, trialsFolder)); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return w.reserve()
}

func (w *Writer) asideIfThere(folder string) error {
	if _, err := os.Lstat(filepath.Join(w.dir, trialsFolder, folder)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return w.moveAside(folder)
}

// settled reports whether the trial is finished, whole, and not aborted.
func (t TrialState) settled() bool {
	return t.State == Finished && t.trial.Status != TrialAborted
}

// settles reports whether the proof is of a trial that holds the place.
func (p Proof) settles(place Place) bool {
	return p.Status != TrialAborted && p.Block == place.Block && p.Target == place.Target
}

// Remaining are the places of the stored order that no finished and whole trial holds, in that order. A
// repeat at the end of a block holds the place of its block and target.
func (r *Reader) Remaining() []Place {
	var out []Place
	for _, p := range r.run.Order {
		held := slices.ContainsFunc(r.trials, func(t TrialState) bool {
			return t.settled() && t.Block == p.Block && t.Target == p.Target
		})
		if !held {
			out = append(out, p)
		}
	}
	return out
}
