package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Names in a run directory.
const (
	runFile      = "run.json"
	planFile     = "plan.yaml"          // as given, byte for byte
	resolvedFile = "plan.resolved.yaml" // with every default filled in
	eventsFile   = "events.jsonl"
	reserveFile  = ".reserve"
	trialsFolder = "trials"
	asideFolder  = "aside" // folders of trials that a killed run left unfinished

	trialFile  = "trial.json"
	loadFile   = "load.jsonl"
	seriesFile = "series.jsonl"
	logsFolder = "logs"
)

// Kinds of events.
const (
	EventRun       = "run"             // fields: files and run, as in run.json; the copy from which a damaged run.json is read
	EventBegun     = "trial-begun"     // a trial begins, its folder is made next; fields: Begun
	EventProgress  = "progress"        // what goes on, for a person who waits; fields: Progress
	EventTrial     = "trial"           // a trial is finished; fields: Proof
	EventAbandoned = "trial-abandoned" // a trial ended unfinished; fields: Abandoned
	EventResumed   = "resumed"         // fields: remaining, the number of places left
	EventFinished  = "finished"        // fields: status, reason
)

// reserveBytes are held back on the disk while a run goes on, so that a full
// disk still leaves room to write how it ended.
const reserveBytes = 1 << 20

// ErrEnded is returned by writers after their Finish, Abandon or Close.
var ErrEnded = errors.New("record: already ended")

// Writer writes one run directory. It is safe for concurrent use. Every error
// of writing wraps that of the operating system, so that errors.Is(err,
// syscall.ENOSPC) reports a full disk.
type Writer struct {
	dir  string
	disk *disk
	now  func() time.Time

	mu       sync.Mutex
	events   *file
	size     int64     // of events.jsonl, up to the end of its last whole line
	digest   hash.Hash // of these bytes, as they were written
	sequence int64
	run      Run
	plans    []FileSeal
	finished map[string]bool // folders of trials that need no repeating
	ended    bool
}

// Create makes root, where it is missing, and in it the directory of a new
// run, <time in UTC>-<name of the plan>, with the plan as given and as
// resolved. Two runs in one second get different names. The run's format,
// status and start are set here.
func Create(root string, run Run, planGiven, planResolved []byte, now time.Time) (*Writer, error) {
	w, err := create(&disk{}, root, run, planGiven, planResolved, now)
	if err != nil {
		return nil, fmt.Errorf("record: create run in %s: %w", root, err)
	}
	return w, nil
}

func create(d *disk, root string, run Run, given, resolved []byte, now time.Time) (*Writer, error) {
	if !regexp.MustCompile(`^[a-z0-9-]{1,63}$`).MatchString(run.Name) {
		return nil, fmt.Errorf("name of the plan %q is not of [a-z0-9-]{1,63}", run.Name)
	}
	dir, err := makeRunFolder(d, root, now.UTC().Format("20060102T150405Z")+"-"+run.Name)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, disk: d, now: time.Now, run: run, finished: map[string]bool{}, digest: sha256.New()}
	w.run.Format, w.run.Status, w.run.Started = FormatVersion, Incomplete, now
	if err := w.lay(given, resolved); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// makeRunFolder makes root/name, or root/name-2 and so on where it exists.
func makeRunFolder(d *disk, root, name string) (string, error) {
	if err := os.MkdirAll(root, folderMode); err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	for n := 2; ; n++ {
		err := d.mkdir(dir)
		if err == nil {
			return dir, d.syncDir(root)
		}
		if !errors.Is(err, os.ErrExist) {
			return "", err
		}
		dir = filepath.Join(root, fmt.Sprintf("%s-%d", name, n))
	}
}

// lay writes the first content of a run directory; run.json comes last.
func (w *Writer) lay(given, resolved []byte) error {
	if err := w.reserve(); err != nil {
		return err
	}
	if err := w.disk.whole(filepath.Join(w.dir, planFile), given); err != nil {
		return err
	}
	if err := w.disk.whole(filepath.Join(w.dir, resolvedFile), resolved); err != nil {
		return err
	}
	w.plans = []FileSeal{sealBytes(planFile, given), sealBytes(resolvedFile, resolved)}
	if err := w.disk.mkdir(filepath.Join(w.dir, trialsFolder)); err != nil {
		return err
	}
	var err error
	if w.events, err = w.disk.append(filepath.Join(w.dir, eventsFile)); err != nil {
		return err
	}
	if err := lock(w.events.os); err != nil {
		return err
	}
	return w.writeRun()
}

func sealBytes(name string, content []byte) FileSeal {
	return FileSeal{Path: name, Size: int64(len(content)), SHA256: sum(content)}
}

// reserve takes reserveBytes of the disk.
func (w *Writer) reserve() error {
	f, err := w.disk.create(filepath.Join(w.dir, reserveFile))
	if err != nil {
		return err
	}
	return errors.Join(f.allocate(reserveBytes), f.close())
}

// Dir is the run directory.
func (w *Writer) Dir() string { return w.dir }

// Run returns the run as last written. Its slices and maps must not be changed.
func (w *Writer) Run() Run {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.run
}

// Progress appends an event of that kind. It is not made durable at once (a kill loses nothing; a power
// cut may lose the last ones): the events that finished trials hang on are.
func (w *Writer) Progress(p Progress) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.event(EventProgress, p, false)
}

func (w *Writer) event(kind string, fields any, durable bool) error {
	if w.ended {
		return ErrEnded
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("record: event %s: %w", kind, err)
	}
	e, err := json.Marshal(Event{Sequence: w.sequence + 1, At: w.now(), Kind: kind, Fields: raw})
	if err != nil {
		return fmt.Errorf("record: event %s: %w", kind, err)
	}
	if err := w.appendEvent(frame(e), durable); err != nil {
		return fmt.Errorf("record: event %s: %w", kind, err)
	}
	w.sequence++
	return nil
}

// appendEvent writes a whole line or none: what a full disk cut is taken back.
func (w *Writer) appendEvent(line []byte, durable bool) error {
	_, err := w.events.Write(line)
	if err == nil && durable {
		err = w.events.sync()
	}
	if err != nil {
		return errors.Join(err, w.events.truncate(w.size))
	}
	w.size += int64(len(line))
	_, _ = w.digest.Write(line) // never fails
	return nil
}

// Update changes the run and rewrites run.json; a reader sees the old one or
// the new one.
func (w *Writer) Update(change func(*Run)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return ErrEnded
	}
	change(&w.run)
	w.run.Format = FormatVersion
	return w.writeRun()
}

// writeRun writes the run twice: as run.json, and as an event, from which it
// is read where run.json is damaged.
func (w *Writer) writeRun() error {
	if err := w.replaceRun(w.plans); err != nil {
		return err
	}
	return w.event(EventRun, runEnvelope{w.plans, w.run}, true)
}

func (w *Writer) replaceRun(files []FileSeal) error {
	content, err := encodeRun(w.run, files)
	if err == nil {
		err = w.disk.replace(filepath.Join(w.dir, runFile), content)
	}
	if err != nil {
		return fmt.Errorf("record: %s: %w", runFile, err)
	}
	return nil
}

// runEnvelope is run.json without its first lines, and the event "run".
type runEnvelope struct {
	Files []FileSeal `json:"files"` // of the folder itself: the plans; events.jsonl once the run has ended
	Run   Run        `json:"run"`
}

// encodeRun writes run.json: the format, the SHA-256 of everything after the
// line that holds it, and the rest.
func encodeRun(run Run, files []FileSeal) ([]byte, error) {
	rest, err := json.MarshalIndent(runEnvelope{files, run}, "", "  ")
	if err != nil {
		return nil, err
	}
	rest = append(bytes.TrimPrefix(rest, []byte("{\n")), '\n')
	return append(runHead(FormatVersion, sum(rest)), rest...), nil
}

func runHead(format int, digest string) []byte {
	return fmt.Appendf(nil, "{\n  \"format\": %d,\n  \"sha256\": \"%s\",\n", format, digest)
}

// Finish writes how the run ended, Complete or Aborted, seals events.jsonl in run.json and
// closes the directory. It works on a full disk, from what was held back.
func (w *Writer) Finish(status, reason string) error {
	if status != Complete && status != Aborted {
		return fmt.Errorf("record: a run cannot end as %q", status)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return ErrEnded
	}
	w.run.Status, w.run.Reason = status, reason
	if w.run.Ended.IsZero() {
		w.run.Ended = w.now()
	}
	return errors.Join(w.finish(), w.close())
}

func (w *Writer) finish() error {
	if err := w.disk.remove(filepath.Join(w.dir, reserveFile)); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := w.event(EventRun, runEnvelope{w.plans, w.run}, false); err != nil {
		return err
	}
	if err := w.event(EventFinished, map[string]string{"status": w.run.Status, "reason": w.run.Reason}, true); err != nil {
		return err
	}
	seal := FileSeal{Path: eventsFile, Size: w.size, SHA256: hex.EncodeToString(w.digest.Sum(nil))}
	return w.replaceRun(append(slices.Clone(w.plans), seal))
}

// Close releases the directory. A run that was not finished stays
// incomplete. Calling it again, or after Finish, is no error.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil
	}
	return w.close()
}

func (w *Writer) close() error {
	w.ended = true
	if w.events == nil {
		return nil
	}
	if err := errors.Join(unlock(w.events.os), w.events.close()); err != nil {
		return fmt.Errorf("record: %s: %w", eventsFile, err)
	}
	return nil
}
