package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrDiffers is returned by Copy.Take where what was read is not what the seal says: the file has been replaced since, or was
// damaged on its way. It is not there then.
var ErrDiffers = errors.New("content differs from its seal")

// A Copy is a run directory that files of another one are copied into while that one is written elsewhere. As long as it is open,
// readers of the copy see a run in progress. It is for one goroutine.
type Copy struct {
	dir    string
	events *os.File
	taken  map[string]string // digest of each file that is as it was sealed, by path
	growth growth
}

// OpenCopy begins a copy in a folder, which is made where it is missing, or takes one up that was left off. It refuses with
// ErrInUse while the run is written there, or another process copies into it.
func OpenCopy(dir string) (*Copy, error) {
	c := &Copy{dir: dir, taken: map[string]string{}, growth: growth{under: map[string]bool{}, lines: map[string]int64{}}}
	err := os.MkdirAll(filepath.Join(dir, trialsFolder), folderMode)
	if err == nil {
		c.events, err = os.OpenFile(filepath.Join(dir, eventsFile), os.O_CREATE|os.O_RDWR|openSafely, fileMode)
	}
	if err == nil {
		if err = lock(c.events); err != nil {
			err = errors.Join(err, c.events.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("record: copy into %s: %w", dir, err)
	}
	return c, nil
}

// Dir is the folder.
func (c *Copy) Dir() string { return c.dir }

// Close releases the folder.
func (c *Copy) Close() error {
	if err := errors.Join(unlock(c.events), c.events.Close()); err != nil {
		return fmt.Errorf("record: copy: %w", err)
	}
	return nil
}

// Take makes the file of a seal, unless it is there. read is called with how many of its bytes are there already, and writes those
// that follow; when it fails, what it wrote stays for the next time. A file is in its place only once it is whole and as it
// was sealed, except for events.jsonl, which grows there.
func (c *Copy) Take(s FileSeal, read func(from int64, w io.Writer) error) error {
	if was, ok := c.taken[s.Path]; ok && was == s.SHA256 {
		return nil
	}
	var err error
	switch local := filepath.FromSlash(s.Path); {
	case !filepath.IsLocal(local):
		err = errors.New("leads out of the folder")
	case s.Path == eventsFile:
		err = c.grow(s, read)
	case s.proves(c.dir) != "":
		err = c.replace(filepath.Join(c.dir, local), s, read)
	}
	if err != nil {
		return fmt.Errorf("record: copy %q: %w", s.Path, err)
	}
	c.taken[s.Path] = s.SHA256
	return nil
}

// grow appends to events.jsonl. One that differs begins again.
func (c *Copy) grow(s FileSeal, read func(int64, io.Writer) error) error {
	size, err := c.events.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < s.Size {
		if err := read(size, c.events); err != nil {
			return err
		}
	}
	now, err := sealBeginning(c.events.Name(), s.Path, s.Size)
	if err == nil && now.SHA256 == s.SHA256 {
		return c.events.Sync()
	}
	return errors.Join(ErrDiffers, err, c.events.Truncate(0))
}

// replace writes a file under its temporary name, and renames it once it is proven.
func (c *Copy) replace(path string, s FileSeal, read func(int64, io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return err
	}
	temporary := temporaryName(path)
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_RDWR|openSafely, fileMode)
	if err != nil {
		return err
	}
	err = makeWhole(file, s.Size, read)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	now, err := sealFile(temporary, s.Path)
	if err != nil {
		return err
	}
	if now != s {
		return errors.Join(ErrDiffers, os.Remove(temporary))
	}
	return os.Rename(temporary, path)
}

// makeWhole writes what is missing of a file; what is longer begins again.
func makeWhole(file *os.File, size int64, read func(int64, io.Writer) error) error {
	from, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if from > size {
		if err := file.Truncate(0); err != nil {
			return err
		}
		if from, err = file.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	if from == size {
		return nil
	}
	return read(from, file)
}
