package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// trialFolder names a trial's folder: <block>-<position>-<target>, and
// .<attempt> behind it from the second attempt on.
func trialFolder(block, position int, target string, attempt int) string {
	name := fmt.Sprintf("%d-%d-%s", block, position, target)
	if attempt > 1 {
		name += "." + strconv.Itoa(attempt)
	}
	return name
}

// parseFolder is the inverse of trialFolder; it refuses whatever leads elsewhere.
func parseFolder(name string) (place Place, attempt int, ok bool) {
	parts := strings.SplitN(name, "-", 3)
	if len(parts) != 3 {
		return Place{}, 0, false
	}
	block, err1 := strconv.Atoi(parts[0])
	position, err2 := strconv.Atoi(parts[1])
	target, number, again := strings.Cut(parts[2], ".")
	attempt, err3 := 1, error(nil)
	if again {
		attempt, err3 = strconv.Atoi(number)
	}
	place = Place{Block: block, Position: position, Target: target}
	ok = errors.Join(err1, err2, err3) == nil && !strings.ContainsAny(name, `/\`) &&
		trialFolder(block, position, target, attempt) == name
	return place, attempt, ok
}

// TrialWriter writes the folder of one trial. It is safe for concurrent use.
type TrialWriter struct {
	run     *Writer
	dir     string
	folder  string
	place   Place
	attempt int

	mu          sync.Mutex
	load        *file
	series      *file
	loadLines   *bufio.Writer
	seriesLines *bufio.Writer
	ended       bool
}

// BeginTrial says in an event that a trial begins, and makes its folder after that. What an earlier,
// unfinished one left under the same name is moved aside; a finished one is refused.
func (w *Writer) BeginTrial(block, position int, target string, attempt int) (*TrialWriter, error) {
	t := &TrialWriter{run: w, place: Place{block, position, target}, attempt: attempt}
	t.folder = trialFolder(block, position, target, attempt)
	t.dir = filepath.Join(w.dir, trialsFolder, t.folder)
	if _, _, ok := parseFolder(t.folder); !ok {
		return nil, fmt.Errorf("record: trial %q: not the name of a trial", t.folder)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil, ErrEnded
	}
	if w.finished[t.folder] {
		return nil, fmt.Errorf("record: trial %s is finished already", t.folder)
	}
	begun := Begun{Folder: t.folder, Block: block, Position: position, Target: target, Attempt: attempt}
	if err := w.event(EventBegun, begun, false); err != nil {
		return nil, fmt.Errorf("record: begin trial %s: %w", t.folder, err)
	}
	if err := t.lay(); err != nil {
		return nil, fmt.Errorf("record: begin trial %s: %w", t.folder, errors.Join(err, t.closeFiles()))
	}
	return t, nil
}

func (t *TrialWriter) lay() error {
	d := t.run.disk
	if _, err := os.Lstat(t.dir); err == nil {
		if err := t.run.moveAside(t.folder); err != nil {
			return err
		}
	}
	if err := d.mkdir(t.dir); err != nil {
		return err
	}
	if err := d.mkdir(t.LogDir()); err != nil {
		return err
	}
	var err error
	if t.load, err = d.create(filepath.Join(t.dir, loadFile)); err != nil {
		return err
	}
	if t.series, err = d.create(filepath.Join(t.dir, seriesFile)); err != nil {
		return err
	}
	t.loadLines = bufio.NewWriterSize(t.load, 64<<10)
	t.seriesLines = bufio.NewWriterSize(t.series, 64<<10)
	return d.syncDir(filepath.Dir(t.dir))
}

// moveAside renames the folder of an unfinished trial to aside/<folder>~<n>.
func (w *Writer) moveAside(folder string) error {
	aside := filepath.Join(w.dir, asideFolder)
	if err := w.disk.mkdir(aside); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for n := 1; ; n++ {
		to := filepath.Join(aside, fmt.Sprintf("%s~%d", folder, n))
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		return w.disk.rename(filepath.Join(w.dir, trialsFolder, folder), to)
	}
}

// LogDir is the folder inside the trial's for the logs of its processes.
func (t *TrialWriter) LogDir() string { return filepath.Join(t.dir, logsFolder) }

// Load appends one agent's second. It and the series so far are handed to the
// operating system at once, so that a reader can follow a run.
func (t *TrialWriter) Load(l Load) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.append(t.loadLines, l); err != nil {
		return fmt.Errorf("record: trial %s: %s: %w", t.folder, loadFile, err)
	}
	if err := errors.Join(t.loadLines.Flush(), t.seriesLines.Flush()); err != nil {
		return fmt.Errorf("record: trial %s: %w", t.folder, err)
	}
	return nil
}

// Series appends one second of one tier member. It may stay in memory until
// the next Load or Finish.
func (t *TrialWriter) Series(s Series) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.append(t.seriesLines, s); err != nil {
		return fmt.Errorf("record: trial %s: %s: %w", t.folder, seriesFile, err)
	}
	return nil
}

func (t *TrialWriter) append(to *bufio.Writer, v any) error {
	if t.ended {
		return ErrEnded
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = to.Write(frame(raw))
	return err
}

// ErrRewritten is returned by TrialWriter.Intact.
var ErrRewritten = errors.New("somebody else has changed what was written")

// Intact fails with ErrRewritten where load.jsonl or series.jsonl does not hold what was written into it: then somebody else has changed the
// file while the trial ran. It is for the trial's end, once everything that ran in it has ended.
func (t *TrialWriter) Intact() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return ErrEnded
	}
	if err := errors.Join(t.loadLines.Flush(), t.seriesLines.Flush()); err != nil {
		return fmt.Errorf("record: trial %s: %w", t.folder, err)
	}
	var changed []string
	for _, written := range t.own() {
		if what := written.proves(t.dir); what != "" {
			changed = append(changed, written.Path+": "+what)
		}
	}
	if len(changed) > 0 {
		return fmt.Errorf("record: trial %s: %w: %s", t.folder, ErrRewritten, strings.Join(changed, "; "))
	}
	return nil
}

// own are the seals of the files that this process writes itself, by what it has written.
func (t *TrialWriter) own() []FileSeal {
	return []FileSeal{t.load.seal(loadFile), t.series.seal(seriesFile)}
}

// Finish makes every file of the trial durable, seals each with its size and
// digest in trial.json, writes that, and names its digest in events.jsonl. The digests of load.jsonl and
// series.jsonl are those of what was written, not of what is there now.
// Only then the trial counts as finished. Place, attempt and files of the
// given trial are filled in here. The logs must be closed before. After an error the trial is unfinished.
func (t *TrialWriter) Finish(trial Trial) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return ErrEnded
	}
	if trial.Status != Valid && trial.Status != Invalid && trial.Status != TrialAborted {
		return fmt.Errorf("record: trial %s: cannot end as %q", t.folder, trial.Status)
	}
	t.ended = true
	if err := t.finish(trial); err != nil {
		return fmt.Errorf("record: finish trial %s: %w", t.folder, err)
	}
	return nil
}

func (t *TrialWriter) finish(trial Trial) error {
	if err := errors.Join(t.loadLines.Flush(), t.seriesLines.Flush()); err != nil {
		return errors.Join(err, t.closeFiles())
	}
	if err := t.closeFiles(); err != nil {
		return err
	}
	files, err := t.seal()
	if err != nil {
		return err
	}
	trial.Format, trial.Attempt, trial.Files = FormatVersion, t.attempt, files
	trial.Block, trial.Position, trial.Target = t.place.Block, t.place.Position, t.place.Target
	content, err := json.MarshalIndent(trial, "", "  ")
	if err != nil {
		return err
	}
	content = append(content, '\n')
	if err := t.run.disk.replace(filepath.Join(t.dir, trialFile), content); err != nil {
		return err
	}
	return t.run.prove(Proof{
		Folder: t.folder, Block: trial.Block, Position: trial.Position, Target: trial.Target,
		Attempt: trial.Attempt, Status: trial.Status, SHA256: sum(content),
	})
}

func (w *Writer) prove(p Proof) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.event(EventTrial, p, true); err != nil {
		return err
	}
	w.finished[p.Folder] = p.Status != TrialAborted
	return nil
}

// seal makes every regular file of the folder durable, the folders too, and measures those that others wrote.
func (t *TrialWriter) seal() ([]FileSeal, error) {
	files := t.own()
	err := filepath.WalkDir(t.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return t.run.disk.syncDir(path)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		name, err := filepath.Rel(t.dir, path)
		if err != nil {
			return err
		}
		if err := t.syncFile(path); err != nil {
			return err
		}
		if name == loadFile || name == seriesFile {
			return nil
		}
		s, err := sealFile(path, name)
		files = append(files, s)
		return err
	})
	slices.SortFunc(files, func(a, b FileSeal) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

// syncFile makes a closed file durable.
func (t *TrialWriter) syncFile(path string) error {
	f, err := t.run.disk.append(path)
	if err != nil {
		return err
	}
	return errors.Join(f.sync(), f.close())
}

func (t *TrialWriter) closeFiles() error {
	var errs []error
	for _, f := range []*file{t.load, t.series} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// Abandon ends the trial unfinished, with the reason as an event. Its folder
// stays for anyone who looks for the cause. After Finish it does nothing.
func (t *TrialWriter) Abandon(reason string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	t.ended = true
	flushed := errors.Join(t.loadLines.Flush(), t.seriesLines.Flush())
	closed := t.closeFiles()
	t.run.mu.Lock()
	defer t.run.mu.Unlock()
	said := t.run.event(EventAbandoned, Abandoned{t.folder, reason}, false)
	if err := errors.Join(flushed, closed, said); err != nil {
		return fmt.Errorf("record: abandon trial %s: %w", t.folder, err)
	}
	return nil
}
