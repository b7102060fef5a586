package record

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Files are those of a run that can be copied, with their seals: the plans, every file of the finished trials, events.jsonl up
// to its last whole line, and run.json. They are in the order in which they are to be copied: a copy of the
// first ones, however many, has nothing that a reader calls damaged. events.jsonl grows and run.json is replaced; the
// others stay as they are. With all, and once nobody writes the run, every other regular file of the directory
// is among them, such as the logs of unfinished trials.
func Files(dir string, all bool) ([]FileSeal, error) {
	out, err := copyable(dir, all)
	if err != nil {
		return nil, fmt.Errorf("record: files of %s: %w", dir, err)
	}
	return out, nil
}

func copyable(dir string, all bool) ([]FileSeal, error) {
	r, err := openRun(dir)
	if err != nil {
		return nil, err
	}
	var out []FileSeal
	for _, s := range r.files {
		if s.Path != eventsFile {
			out = append(out, s)
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(r.log.proofs)) {
		if some, err := sealed(dir, r.log.proofs[folder]); err == nil { // one that is damaged is none that can be copied
			out = append(out, some...)
		}
	}
	if all && !r.live {
		if out, err = withOthers(dir, out); err != nil {
			return nil, err
		}
	}
	events, err := sealBeginning(filepath.Join(dir, eventsFile), eventsFile, r.intact)
	if err != nil {
		return nil, err
	}
	run, err := sealFile(filepath.Join(dir, runFile), runFile)
	return append(out, events, run), err
}

// sealed are the files of a finished trial.
func sealed(dir string, p Proof) ([]FileSeal, error) {
	t, err := ReadTrial(dir, p)
	if err != nil {
		return nil, err
	}
	folder := path.Join(trialsFolder, p.Folder)
	info, err := os.Stat(filepath.Join(dir, folder, trialFile))
	if err != nil {
		return nil, err
	}
	var out []FileSeal
	for _, s := range t.Files {
		s.Path = path.Join(folder, s.Path)
		out = append(out, s)
	}
	return append(out, FileSeal{Path: path.Join(folder, trialFile), Size: info.Size(), SHA256: p.SHA256}), nil
}

// withOthers are the files that are there and not listed yet, but those that are copied last and temporary ones.
func withOthers(dir string, listed []FileSeal) ([]FileSeal, error) {
	known := map[string]bool{eventsFile: true, runFile: true}
	for _, s := range listed {
		known[s.Path] = true
	}
	err := filepath.WalkDir(dir, func(at string, e fs.DirEntry, err error) error {
		name, rerr := filepath.Rel(dir, at)
		if err := errors.Join(err, rerr); err != nil {
			return err
		}
		if name = filepath.ToSlash(name); !e.Type().IsRegular() || known[name] || strings.HasPrefix(e.Name(), ".") {
			return nil
		}
		s, err := sealFile(at, name)
		listed = append(listed, s)
		return err
	})
	return listed, err
}

// sealBeginning seals the first bytes of a file.
func sealBeginning(at, name string, size int64) (FileSeal, error) {
	f, err := openRegular(at)
	if err != nil {
		return FileSeal{}, err
	}
	defer f.Close() // opened for reading
	h := sha256.New()
	if _, err := io.CopyN(h, f, size); err != nil {
		return FileSeal{}, err
	}
	return FileSeal{Path: name, Size: size, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// OpenFile opens a regular file of a run directory for reading.
func OpenFile(dir, name string) (*os.File, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, fmt.Errorf("record: %q leads out of the folder", name)
	}
	f, err := openRegular(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return f, nil
}
