package record

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ErrNoRun is returned by Open for a folder that holds no run: none was ever
// there, or its writer was killed before the run began.
var ErrNoRun = errors.New("no run here")

// A VersionError says that a file is of a format this package does not read.
type VersionError struct {
	File string
	Has  int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s is of format %d; this bakeoff reads formats %d to %d", e.File, e.Has, oldestFormat, FormatVersion)
}

// readable reports whether this package reads a format.
func readable(format int) bool { return oldestFormat <= format && format <= FormatVersion }

// A Problem is damage found in a run directory.
type Problem struct {
	File string `json:"file"` // relative to the run directory; "events.jsonl:3" for a line
	What string `json:"what"`
}

func (p Problem) String() string { return p.File + ": " + p.What }

// Reader reads one run directory, finished or not, as it was when opened. It
// changes nothing. It is safe for concurrent use.
type Reader struct {
	dir      string
	run      Run
	files    []FileSeal // of the directory itself
	log      eventLog
	intact   int64 // bytes of events.jsonl up to the end of its last line that has one
	live     bool
	oneCore  bool
	trials   []TrialState
	problems []Problem
}

// Open reads the run directory and proves every finished trial: each of its
// files has the length and digest sealed in trial.json, and trial.json the
// digest named in events.jsonl. Damage is no error but a Problem, and never keeps other trials from being
// read. Open fails with ErrNoRun where there is no run, with a VersionError where its
// format is another one.
func Open(dir string) (*Reader, error) { return open(dir, false) }

// OpenOnOneCore is Open for a reader next to what is being measured: lines are decoded when they are asked for, on the core of who asks,
// and not ahead on every core.
func OpenOnOneCore(dir string) (*Reader, error) { return open(dir, true) }

func open(dir string, oneCore bool) (*Reader, error) {
	r, err := openRun(dir)
	if err != nil {
		return nil, fmt.Errorf("record: %s: %w", dir, err)
	}
	r.oneCore = oneCore
	for _, s := range r.files {
		if what := s.proves(dir); what != "" {
			r.problem(s.Path, what)
		}
	}
	r.readTrials()
	return r, nil
}

// openRun reads run.json and events.jsonl only.
func openRun(dir string) (*Reader, error) {
	r := &Reader{dir: dir}
	if err := r.readEvents(); errors.Is(err, os.ErrNotExist) {
		r.problem(eventsFile, "missing: no trial can be proven")
	} else if err != nil {
		return nil, err
	}
	content, err := readRegular(filepath.Join(dir, runFile), maxContent)
	var envelope runEnvelope
	if err == nil {
		envelope, err = decodeRun(content)
	} else if errors.Is(err, os.ErrNotExist) {
		err = errors.New("missing")
	}
	var version *VersionError
	if errors.As(err, &version) {
		return nil, err
	}
	if err == nil {
		r.run, r.files = envelope.Run, envelope.Files
		return r, nil
	}
	if !r.runFromEvents() {
		return nil, fmt.Errorf("%w: %s: %v", ErrNoRun, runFile, err) //nolint:errorlint // whatever it was, there is no run
	}
	r.problem(runFile+r.lineOfRun(content), err.Error()+"; read from "+eventsFile+" instead")
	return r, nil
}

// lineOfRun is ":7" for the first line of run.json that is not as in the last event, or nothing where that is not known.
func (r *Reader) lineOfRun(content []byte) string {
	seal, err := sealFile(filepath.Join(r.dir, eventsFile), eventsFile)
	if err != nil || len(content) == 0 {
		return ""
	}
	same := 0
	for _, files := range [][]FileSeal{r.files, append(slices.Clone(r.files), seal)} { // as it is before and after the run's end
		if should, err := encodeRun(r.run, files); err == nil {
			same = max(same, common(content, should))
		}
	}
	return fmt.Sprintf(":%d", 1+bytes.Count(content[:same], []byte("\n")))
}

// common is the number of bytes with which both begin.
func common(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func (r *Reader) problem(file, what string) {
	r.problems = append(r.problems, Problem{file, what})
}

// decodeRun is the inverse of encodeRun.
func decodeRun(content []byte) (runEnvelope, error) {
	var head struct {
		Format int    `json:"format"`
		SHA256 string `json:"sha256"`
	}
	var out runEnvelope
	if err := json.Unmarshal(content, &head); err != nil {
		return out, fmt.Errorf("damaged: %w", err)
	}
	if !readable(head.Format) {
		return out, &VersionError{runFile, head.Format}
	}
	rest, ok := bytes.CutPrefix(content, runHead(head.Format, head.SHA256))
	if !ok || sum(rest) != head.SHA256 {
		return out, errors.New("damaged: content differs from its own digest")
	}
	if err := json.Unmarshal(content, &out); err != nil {
		return out, fmt.Errorf("damaged: %w", err)
	}
	return out, nil
}

// eventLog is what a reader keeps of events.jsonl.
type eventLog struct {
	last   int64            // the greatest sequence
	run    json.RawMessage  // fields of the last event "run" that can be read
	proofs map[string]Proof // the last one of each folder
}

// note keeps what an event says; the error is for fields that cannot be.
func (l *eventLog) note(e Event) error {
	l.last = max(l.last, e.Sequence)
	switch e.Kind {
	case EventRun:
		l.run = e.Fields
	case EventTrial:
		var p Proof
		if err := json.Unmarshal(e.Fields, &p); err != nil {
			return err
		}
		if err := p.check(); err != nil {
			return err
		}
		l.proofs[p.Folder] = p
	case EventBegun: // again: what was there was moved aside
		delete(l.proofs, e.folder())
	case EventResumed: // likewise
		maps.DeleteFunc(l.proofs, func(_ string, p Proof) bool { return p.Status == TrialAborted })
	}
	return nil
}

// readEvents reads events.jsonl; bad lines and gaps become problems.
func (r *Reader) readEvents() error {
	r.log.proofs = map[string]Proof{}
	f, err := openRegular(filepath.Join(r.dir, eventsFile))
	if err != nil {
		return err
	}
	defer f.Close() // opened for reading
	r.live = locked(f)
	next := int64(1)
	for l := range lines(f) {
		e, err := l.event()
		switch {
		case errors.Is(err, errTorn) && r.live:
			return nil // being written
		case errors.Is(err, errTorn):
			r.problem(fmt.Sprintf("%s:%d", eventsFile, l.number), "a torn end of "+fmt.Sprint(l.size)+" bytes, left out")
			return nil
		case err != nil:
			r.problem(fmt.Sprintf("%s:%d", eventsFile, l.number), err.Error())
		case e.Sequence != next:
			r.problem(fmt.Sprintf("%s:%d", eventsFile, l.number), fmt.Sprintf("event %d where %d was due", e.Sequence, next))
		}
		r.intact = l.offset + l.size
		if err == nil {
			next = e.Sequence
			if err := r.log.note(e); err != nil {
				r.problem(fmt.Sprintf("%s:%d", eventsFile, l.number), err.Error())
			}
		}
		next++
	}
	return nil
}

func (l line) event() (Event, error) {
	var e Event
	if l.err != nil {
		return e, l.err
	}
	return e, json.Unmarshal(l.record, &e)
}

// runFromEvents takes the run from the last event that holds it.
func (r *Reader) runFromEvents() bool {
	var fields runEnvelope
	if r.log.run == nil || json.Unmarshal(r.log.run, &fields) != nil || !readable(fields.Run.Format) {
		return false
	}
	r.run, r.files = fields.Run, fields.Files
	return true
}

// Dir is the run directory, Run what run.json says.
func (r *Reader) Dir() string { return r.dir }
func (r *Reader) Run() Run    { return r.run }

// Live reports whether a process was writing the run when it was opened.
func (r *Reader) Live() bool { return r.live }

// OnOneCore reports whether it was opened by OpenOnOneCore.
func (r *Reader) OnOneCore() bool { return r.oneCore }

// Problems is the damage found, in the order it was found.
func (r *Reader) Problems() []Problem { return slices.Clone(r.problems) }

// Trials are the trials begun, by block, position and attempt. Damaged and unfinished ones are among them.
func (r *Reader) Trials() []TrialState { return slices.Clone(r.trials) }

// readTrials joins the folders that exist with the proofs in the events.
func (r *Reader) readTrials() {
	proofs := r.log.proofs
	entries, err := os.ReadDir(filepath.Join(r.dir, trialsFolder))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.problem(trialsFolder, err.Error())
	}
	for _, e := range entries {
		place, attempt, ok := parseFolder(e.Name())
		if !ok || !e.IsDir() {
			r.problem(trialsFolder+"/"+e.Name(), "not the folder of a trial")
			continue
		}
		if _, ok := proofs[e.Name()]; !ok {
			t := r.trialState(place, attempt, e.Name())
			t.State = Unfinished
			r.trials = append(r.trials, t)
		}
	}
	for folder, p := range proofs {
		t := r.trialState(Place{p.Block, p.Position, p.Target}, p.Attempt, folder)
		r.trials = append(r.trials, t.prove(p))
	}
	slices.SortFunc(r.trials, func(a, b TrialState) int {
		return cmp.Or(a.Place.compare(b.Place), cmp.Compare(a.Attempt, b.Attempt))
	})
	for _, t := range r.trials {
		for _, d := range t.Damage {
			r.problem(trialsFolder+"/"+t.Folder+"/"+d.File, d.What)
		}
	}
}

func (r *Reader) trialState(place Place, attempt int, folder string) TrialState {
	return TrialState{Place: place, Attempt: attempt, Folder: folder, format: r.run.Format, oneCore: r.oneCore, dir: filepath.Join(r.dir, trialsFolder, folder)}
}

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Block, o.Block), cmp.Compare(p.Position, o.Position), cmp.Compare(p.Target, o.Target))
}

// States of a trial in a run directory.
const (
	Finished   = "finished"   // reported complete, and proven whole
	Damaged    = "damaged"    // reported complete, but no longer as it was
	Unfinished = "unfinished" // begun; under way, or its writer was killed
)

// TrialState is one trial in a run directory.
type TrialState struct {
	Place
	Attempt int
	Folder  string    // inside trials/
	State   string    // Finished, Damaged or Unfinished
	Proved  string    // the status that events.jsonl gives it; empty: none
	Damage  []Problem // what is wrong, files relative to the trial's folder

	trial   Trial
	format  int // of the run
	oneCore bool
	dir     string
}

// prove compares the folder with the proof and the seals.
func (t TrialState) prove(p Proof) TrialState {
	t.Proved = p.Status
	content, err := readRegular(filepath.Join(t.dir, trialFile), maxContent)
	switch {
	case errors.Is(err, os.ErrNotExist):
		t.Damage = []Problem{{trialFile, "missing"}}
	case err != nil:
		t.Damage = []Problem{{trialFile, err.Error()}}
	case sum(content) != p.SHA256:
		t.Damage = []Problem{{trialFile, "content differs from its digest in " + eventsFile}}
	}
	if err == nil && t.Damage == nil {
		t.read(content)
	}
	t.State = Finished
	if t.Damage != nil {
		t.State = Damaged
	}
	return t
}

func (t *TrialState) read(content []byte) {
	if err := json.Unmarshal(content, &t.trial); err != nil {
		t.Damage = append(t.Damage, Problem{trialFile, err.Error()})
		return
	}
	if t.trial.Format != t.format {
		t.Damage = append(t.Damage, Problem{trialFile, fmt.Sprintf("is of format %d in a run of format %d", t.trial.Format, t.format)})
		return
	}
	for _, s := range t.trial.Files {
		if what := s.proves(t.dir); what != "" {
			t.Damage = append(t.Damage, Problem{s.Path, what})
		}
	}
}

// ReadTrial returns what trial.json says of a finished trial. It is proven, and the other files of the trial have the length
// that it seals; they are not read.
func ReadTrial(dir string, p Proof) (Trial, error) {
	if err := p.check(); err != nil {
		return Trial{}, fmt.Errorf("record: %w", err)
	}
	folder := filepath.Join(dir, trialsFolder, p.Folder)
	content, err := readRegular(filepath.Join(folder, trialFile), maxContent)
	if err != nil {
		return Trial{}, fmt.Errorf("record: %w", err)
	}
	if sum(content) != p.SHA256 {
		return Trial{}, fmt.Errorf("record: trial %s: %s differs from its digest in %s", p.Folder, trialFile, eventsFile)
	}
	var t Trial
	if err := json.Unmarshal(content, &t); err != nil {
		return Trial{}, fmt.Errorf("record: trial %s: %s: %w", p.Folder, trialFile, err)
	}
	for _, s := range t.Files {
		if what := s.fits(folder); what != "" {
			return Trial{}, fmt.Errorf("record: trial %s: %s: %s", p.Folder, s.Path, what)
		}
	}
	return t, nil
}

// Dir is the trial's folder.
func (t TrialState) Dir() string { return t.dir }

// Trial returns what trial.json says of a finished trial, and an error for any other.
func (t TrialState) Trial() (Trial, error) {
	switch t.State {
	case Finished:
		return t.trial, nil
	case Damaged:
		return Trial{}, fmt.Errorf("record: trial %s is damaged: %s", t.Folder, t.Damage[0])
	}
	return Trial{}, fmt.Errorf("record: trial %s is unfinished", t.Folder)
}

// Loads yields the lines of load.jsonl in their order. A bad line comes as a
// LineError and the rest follows. It reads unfinished and damaged trials too:
// what their lines say is then proven line by line only.
func (t TrialState) Loads() iter.Seq2[Load, error] {
	return records(t, loadFile, loadDecoder(t.format))
}

// loadDecoder is what reads the records of load.jsonl in a run of that format.
func loadDecoder(format int) func([]byte) (Load, error) {
	if format == 1 {
		return decodeLoad1
	}
	return decode[Load]
}

// Series yields the lines of series.jsonl like Loads.
func (t TrialState) Series() iter.Seq2[Series, error] {
	return records(t, seriesFile, decode[Series])
}

func decode[T any](raw []byte) (T, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, err
}

// records yields the records of a framed file of a trial.
func records[T any](of TrialState, name string, decode func([]byte) (T, error)) iter.Seq2[T, error] {
	decoder := decodeAhead[T]
	if of.oneCore {
		decoder = decodeAsked[T]
	}
	return func(yield func(T, error) bool) {
		path := filepath.Join(of.dir, name)
		f, err := openRegular(path)
		if err != nil {
			yield(*new(T), fmt.Errorf("record: %w", err))
			return
		}
		defer f.Close() // opened for reading
		for d := range decoder(lines(f), decode) {
			if d.err != nil {
				d.err = &LineError{File: path, Line: d.number, What: d.err.Error()}
			}
			if !yield(d.value, d.err) {
				return
			}
		}
	}
}

// Listed is one run in a folder of runs, as its run.json and events say; its trials
// were not proven.
type Listed struct {
	Dir  string `json:"dir"`
	Name string `json:"name"`
	// PlanDigest is the same for runs of the same plan.
	PlanDigest string    `json:"plan_digest,omitempty"`
	Status     string    `json:"status"`
	Live       bool      `json:"live"` // being written now
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended,omitzero"`
	Short      bool      `json:"short,omitempty"`
	Shared     bool      `json:"shared,omitempty"`
	Targets    []string  `json:"targets"`
	Planned    int       `json:"planned"`  // trials in the order, the pilot's included
	Finished   int       `json:"finished"` // of those
	Problem    string    `json:"problem,omitempty"`
}

// List returns the runs in root, oldest first by folder name. Folders without a run are listed with
// their Problem; a missing root is an empty list.
func List(root string) ([]Listed, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("record: list: %w", err)
	}
	var out []Listed
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, listOne(filepath.Join(root, e.Name())))
		}
	}
	return out, nil
}

// Glance is what List says of one folder, without proving any trial.
func Glance(dir string) Listed { return listOne(dir) }

func listOne(dir string) Listed {
	r, err := openRun(dir)
	if err != nil {
		return Listed{Dir: dir, Problem: err.Error()}
	}
	run := r.run
	l := Listed{
		Dir: dir, Name: run.Name, PlanDigest: run.PlanDigest, Status: run.Status, Live: r.live, Started: run.Started, Ended: run.Ended,
		Short: run.Short, Shared: run.Shared, Planned: len(run.Order),
	}
	for _, t := range run.Targets {
		l.Targets = append(l.Targets, t.Name)
	}
	proofs := slices.Collect(maps.Values(r.log.proofs))
	for _, p := range run.Order {
		if slices.ContainsFunc(proofs, func(q Proof) bool { return q.settles(p) }) {
			l.Finished++
		}
	}
	if len(r.problems) > 0 {
		l.Problem = r.problems[0].String()
	}
	return l
}
