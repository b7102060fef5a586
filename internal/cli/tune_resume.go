package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// left is what an interrupted tuning left in a folder: runs of parts of the same plan, made on the same machine, each after that
// of the part before.
type left struct {
	asked   bool   // for; else nothing is looked for
	folder  string // of run directories
	machine string // its fingerprint
	since   time.Time
	recipes map[string]string // digests of the recipes so far, by setting
}

func newLeft(asked bool, folder, machine string) (*left, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return &left{asked: asked, folder: folder, machine: machine, recipes: map[string]string{}}, nil
}

// begunPart is a run of a part of a tuning that was begun; dir is empty where there is none.
type begunPart struct {
	dir  string
	plan *plan.Plan // that of the part, with the number of blocks that was decided then
	over bool       // it has all that it will have
}

// of is the newest run of a part. It is an error if there is none of the first.
func (l *left) of(part *plan.Plan) (begunPart, error) {
	if !l.asked {
		return begunPart{}, nil
	}
	listed, err := record.List(l.folder)
	if err != nil {
		return begunPart{}, err
	}
	for _, one := range slices.Backward(listed) {
		if one.Name != part.Name || !one.Started.After(l.since) {
			continue
		}
		if begun, is := l.is(one.Dir, part); is {
			return begun, nil
		}
	}
	if l.since.IsZero() {
		return begunPart{}, misused("leave --resume out, or give the same plan, --delta and --out",
			"%s has no run of %s that was made on this machine: there is nothing to resume", l.folder, part.Name)
	}
	return begunPart{}, nil
}

// is reports whether the run in a directory is one of the part, and says how far it came. One that cannot be read is none.
func (l *left) is(dir string, part *plan.Plan) (begunPart, bool) {
	reader, err := record.Open(dir)
	if err != nil {
		return begunPart{}, false
	}
	run := reader.Run()
	begun, err := controller.Recorded(dir)
	if err != nil || run.Machine.Fingerprint != l.machine {
		return begunPart{}, false
	}
	same := *part
	same.Blocks = begun.Plan.Blocks
	inTime := run.Status == record.Aborted && strings.HasPrefix(run.Reason, controller.ErrMaxTime.Error())
	return begunPart{dir, &same, run.Status == record.Complete || inTime}, same.Digest() == run.PlanDigest
}

// counts notes that a run is part of the tuning. It refuses one of other recipes than those before it.
func (l *left) counts(r *record.Reader) error {
	run := r.Run()
	l.since = run.Started
	for _, t := range run.Targets {
		if before, known := l.recipes[t.Name]; known && before != t.Digest {
			return misused("begin again, without --resume", "the recipe of %s has changed since the tuning began: it is another one in %s", t.Name, r.Dir())
		}
		l.recipes[t.Name] = t.Digest
	}
	return nil
}
