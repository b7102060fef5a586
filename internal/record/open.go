package record

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxContent bounds run.json, trial.json and one line of a framed file, in bytes: a hundred times what
// the largest runs need, and little enough to hold in memory.
const maxContent = 16 << 20

// openRegular opens a file for reading. A run directory may come from anybody: a pipe would block
// for ever, a device never end, a link lead elsewhere. They are refused.
func openRegular(path string) (*os.File, error) {
	f, err := openInside(path)
	if err != nil {
		if info, lerr := os.Lstat(path); lerr == nil && !info.Mode().IsRegular() {
			return nil, errNotRegular(path, info)
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular(path, info)
	}
	if err != nil {
		f.Close() // nothing was read or written
		return nil, err
	}
	return f, nil
}

// openInside opens a file; one of a trial only where it is inside the run's own directory, whatever links there are on the way.
func openInside(path string) (*os.File, error) {
	folder, name := filepath.Split(path)
	trials, folder := filepath.Split(filepath.Clean(folder))
	if filepath.Base(trials) != trialsFolder {
		return os.OpenFile(path, os.O_RDONLY|openSafely, 0)
	}
	root, err := os.OpenRoot(filepath.Dir(filepath.Clean(trials)))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	inside := filepath.Join(trialsFolder, folder, name)
	info, err := root.Lstat(inside)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular(path, info)
	}
	return root.OpenFile(inside, os.O_RDONLY|openSafely, 0)
}

func errNotRegular(path string, info os.FileInfo) error {
	return fmt.Errorf("%s is not a regular file (%s)", path, info.Mode().Type())
}

// ReadFile reads a file that a run directory holds in addition to the record, such as a report, of at most limit bytes. What is no
// regular file is refused: a run directory may come from anybody.
func ReadFile(path string, limit int64) ([]byte, error) { return readRegular(path, limit) }

// readRegular reads a whole file of at most limit bytes.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // opened for reading
	if info, err := f.Stat(); err == nil && info.Size() > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f, limit+1)) // it may grow
	if err == nil && n > limit {
		err = fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return b.Bytes(), err
}
