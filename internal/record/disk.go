package record

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// Modes of everything this package makes: a run may hold addresses, logs and
// settings that are nobody else's business.
const (
	folderMode = 0o700
	fileMode   = 0o600
)

// An operation is one file operation about to happen; size is the number of bytes
// of a write.
type operation struct {
	kind string // mkdir, create, append, write, sync, close, rename, remove, truncate, allocate, syncdir
	path string
	size int
}

// disk performs every file operation that changes something, so that a test
// can count them and stop between any two, or inside a write. The zero value
// is the real thing.
type disk struct {
	// before, when set, is asked before each operation. An error stops it; of a
	// write, the first allow bytes are still written.
	before func(operation) (allow int, err error)
}

// ask says how many bytes of a write may happen, and why not all of it.
func (d *disk) ask(kind, path string, size int) (int, error) {
	if d.before == nil {
		return size, nil
	}
	return d.before(operation{kind, path, size})
}

func (d *disk) mkdir(path string) error {
	if _, err := d.ask("mkdir", path, 0); err != nil {
		return err
	}
	return os.Mkdir(path, folderMode)
}

func (d *disk) rename(from, to string) error {
	if _, err := d.ask("rename", from, 0); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (d *disk) remove(path string) error {
	if _, err := d.ask("remove", path, 0); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the names in a folder durable.
func (d *disk) syncDir(path string) error {
	if _, err := d.ask("syncdir", path, 0); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// create makes a new file or empties an old one.
func (d *disk) create(path string) (*file, error) {
	return d.open("create", path, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
}

// append opens a file for writing at its end, and makes it where it is missing.
func (d *disk) append(path string) (*file, error) {
	return d.open("append", path, os.O_CREATE|os.O_APPEND|os.O_RDWR)
}

func (d *disk) open(kind, path string, flags int) (*file, error) {
	if _, err := d.ask(kind, path, 0); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flags, fileMode)
	if err != nil {
		return nil, err
	}
	return &file{disk: d, os: f, digest: sha256.New()}, nil
}

// replace writes a file so that a reader sees the old content or the new one,
// and never part of either: a temporary file in the same folder, made durable, renamed, and the
// folder made durable.
func (d *disk) replace(path string, content []byte) error {
	temporary := temporaryName(path)
	if err := d.whole(temporary, content); err != nil {
		return errors.Join(err, d.remove(temporary))
	}
	if err := d.rename(temporary, path); err != nil {
		return errors.Join(err, d.remove(temporary))
	}
	return d.syncDir(filepath.Dir(path))
}

// whole writes a new file and makes its content durable.
func (d *disk) whole(path string, content []byte) error {
	f, err := d.create(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.close())
	}
	if err := f.sync(); err != nil {
		return errors.Join(err, f.close())
	}
	return f.close()
}

// temporaryName is the name a file has before it is complete; readers pass over it.
func temporaryName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
}

// file is an open file whose every operation goes through its disk. It knows what was written into it, whatever others
// do with the file.
type file struct {
	disk   *disk
	os     *os.File
	size   int64     // of what was written
	digest hash.Hash // likewise
}

// Write writes at the file's position, or at its end when opened by append.
func (f *file) Write(p []byte) (int, error) {
	allow, err := f.disk.ask("write", f.os.Name(), len(p))
	if err != nil {
		n, werr := f.os.Write(p[:allow])
		f.wrote(p[:n])
		return n, errors.Join(err, werr)
	}
	n, err := f.os.Write(p)
	f.wrote(p[:n])
	return n, err
}

func (f *file) wrote(p []byte) {
	f.size += int64(len(p))
	_, _ = f.digest.Write(p) // never fails
}

// seal seals what was written into a file that was empty when it was opened.
func (f *file) seal(name string) FileSeal {
	return FileSeal{Path: name, Size: f.size, SHA256: hex.EncodeToString(f.digest.Sum(nil))}
}

func (f *file) sync() error {
	if _, err := f.disk.ask("sync", f.os.Name(), 0); err != nil {
		return err
	}
	return f.os.Sync()
}

func (f *file) truncate(size int64) error {
	if _, err := f.disk.ask("truncate", f.os.Name(), 0); err != nil {
		return err
	}
	return f.os.Truncate(size)
}

// allocate takes size bytes of the disk.
func (f *file) allocate(size int64) error {
	if _, err := f.disk.ask("allocate", f.os.Name(), 0); err != nil {
		return err
	}
	err := allocate(f.os, size)
	if errors.Is(err, errors.ErrUnsupported) {
		_, err = f.os.Write(make([]byte, size))
	}
	return err
}

// close releases the descriptor even where the operation is stopped: a killed
// process holds none either.
func (f *file) close() error {
	_, err := f.disk.ask("close", f.os.Name(), 0)
	return errors.Join(err, f.os.Close())
}

// sum returns the SHA-256 of bytes in hexadecimal.
func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// sealFile measures a regular file: size in bytes and SHA-256.
func sealFile(path, name string) (FileSeal, error) {
	f, err := openRegular(path)
	if err != nil {
		return FileSeal{}, err
	}
	defer f.Close() // opened for reading
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return FileSeal{}, err
	}
	return FileSeal{Path: filepath.ToSlash(name), Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// fits returns what is wrong with the kind and length of the file of a seal, or "".
func (s FileSeal) fits(folder string) string {
	if !filepath.IsLocal(filepath.FromSlash(s.Path)) {
		return fmt.Sprintf("%q leads out of the folder", s.Path)
	}
	path := filepath.Join(folder, filepath.FromSlash(s.Path))
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "missing"
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return "not a regular file"
	case info.Size() != s.Size:
		return fmt.Sprintf("%d bytes long, sealed with %d", info.Size(), s.Size)
	}
	return ""
}

// proves returns what is wrong with the file of a seal, or "". It reads the whole file.
func (s FileSeal) proves(folder string) string {
	if what := s.fits(folder); what != "" {
		return what
	}
	now, err := sealFile(filepath.Join(folder, filepath.FromSlash(s.Path)), s.Path)
	switch {
	case err != nil:
		return err.Error()
	case now.SHA256 != s.SHA256:
		return "content differs from its sealed digest"
	}
	return ""
}
