package database

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bakeoff/internal/dataset"
)

// entry is a filled, cleanly shut down data directory in the cache. It exists
// when its folder does: the folder gets its name last.
type entry struct {
	cache string // the cache's folder; empty: there is none
	key   string
}

// manifest is what an entry must hold, to the byte.
type manifest struct {
	Key     string       `json:"key"`
	Digest  string       `json:"digest"` // read back from the server
	Folders []string     `json:"folders"`
	Files   []cachedFile `json:"files"`
}

type cachedFile struct {
	Path  string `json:"path"` // relative to the data directory
	Size  int64  `json:"size"`
	CRC32 uint32 `json:"crc32c"`
}

const manifestName = "manifest.json"

// ErrDamaged means that a cache entry is not what its manifest says.
var ErrDamaged = errors.New("database: damaged cache entry")

// entry is where a dataset's directory is kept for this server.
func (p *private) entry(d *dataset.Dataset) entry {
	if p.options.CacheDir == "" {
		return entry{}
	}
	digest := strings.TrimPrefix(d.Digest(), "sha256:")
	version := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-' || r == '+' {
			return r
		}
		return '_'
	}, p.binary.version)
	return entry{p.options.CacheDir, strings.Join([]string{p.binary.vendor, version, "schema" + schemaVersion, digest[:32]}, "-")}
}

func (e entry) path() string { return filepath.Join(e.cache, e.key) }

// restore replaces dir by a copy of the entry, checked as it is copied. An
// entry that is damaged is removed.
func (e entry) restore(ctx context.Context, dir string) (manifest, error) {
	var m manifest
	if e.cache == "" {
		return m, fs.ErrNotExist
	}
	text, err := os.ReadFile(filepath.Join(e.path(), manifestName))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && m.Key != e.key {
		err = fmt.Errorf("%w: it is of %q", ErrDamaged, m.Key)
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err == nil {
		err = m.copy(ctx, filepath.Join(e.path(), "data"), dir)
	}
	if err != nil && ctx.Err() == nil {
		e.discard()
	}
	return m, err
}

// copy copies every file of the manifest and compares it.
func (m *manifest) copy(ctx context.Context, from, to string) error {
	for _, folder := range append([]string{"."}, m.Folders...) {
		if !filepath.IsLocal(folder) {
			return fmt.Errorf("%w: folder %q", ErrDamaged, folder)
		}
		if err := os.Mkdir(filepath.Join(to, folder), 0o700); err != nil {
			return err
		}
	}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !filepath.IsLocal(f.Path) {
			return fmt.Errorf("%w: file %q", ErrDamaged, f.Path)
		}
		got, err := copyFile(filepath.Join(from, f.Path), filepath.Join(to, f.Path))
		if err != nil {
			return err
		}
		if got.Size != f.Size || got.CRC32 != f.CRC32 {
			return fmt.Errorf("%w: %s has %d bytes with checksum %08x, not %d with %08x", ErrDamaged, f.Path, got.Size, got.CRC32, f.Size, f.CRC32)
		}
	}
	return nil
}

// save copies a data directory whose server has ended into the cache. It is
// there whole or not at all.
func (e entry) save(ctx context.Context, dir, digest string) error {
	if err := os.MkdirAll(e.cache, 0o700); err != nil {
		return err
	}
	e.sweep()
	temporary := filepath.Join(e.cache, temporaryPrefix+rand.Text())
	err := e.write(ctx, dir, temporary, digest)
	if err == nil {
		err = os.Rename(temporary, e.path())
		if errors.Is(err, fs.ErrExist) { // somebody else was faster
			err = os.RemoveAll(temporary)
		}
	}
	if err == nil {
		err = syncPath(e.cache)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temporary))
	}
	return nil
}

// write makes a complete entry at path.
func (e entry) write(ctx context.Context, dir, path, digest string) error {
	m := manifest{Key: e.key, Digest: digest}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	data := filepath.Join(path, "data")
	err := filepath.WalkDir(dir, func(name string, item fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		switch {
		case err != nil:
			return err
		case item.IsDir():
			if relative != "." {
				m.Folders = append(m.Folders, relative)
			}
			return os.Mkdir(filepath.Join(data, relative), 0o700)
		case !item.Type().IsRegular():
			return nil
		}
		f, err := copyFile(name, filepath.Join(data, relative))
		f.Path = relative
		m.Files = append(m.Files, f)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := syncPath(filepath.Join(data, f.Path)); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(path, manifestName), string(text)); err != nil {
		return err
	}
	return errors.Join(syncPath(filepath.Join(path, manifestName)), syncPath(path))
}

// temporaryPrefix begins the names of entries that are being written or removed.
const temporaryPrefix = ".tmp-"

// sweep removes what killed writers left behind.
func (e entry) sweep() {
	items, _ := os.ReadDir(e.cache)
	for _, item := range items {
		info, err := item.Info()
		if err == nil && strings.HasPrefix(item.Name(), temporaryPrefix) && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(filepath.Join(e.cache, item.Name()))
		}
	}
}

// discard removes the entry: first its name, then its files.
func (e entry) discard() {
	if e.cache == "" {
		return
	}
	away := filepath.Join(e.cache, temporaryPrefix+rand.Text())
	if os.Rename(e.path(), away) == nil {
		_ = os.RemoveAll(away)
	}
}

// syncPath brings a file or folder to the disk.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// copyFile copies a file, leaving holes where it is zero, and
// returns its size and checksum (CRC-32C).
func copyFile(from, to string) (cachedFile, error) {
	in, err := os.Open(from)
	if err != nil {
		return cachedFile{}, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cachedFile{}, err
	}
	f, err := copyData(out, in)
	return f, errors.Join(err, out.Close())
}

func copyData(out, in *os.File) (cachedFile, error) {
	info, err := in.Stat()
	if err != nil {
		return cachedFile{}, err
	}
	f := cachedFile{Size: info.Size()}
	if err := out.Truncate(f.Size); err != nil {
		return f, err
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	buf := make([]byte, 1<<20)
	zero := make([]byte, len(buf))
	for at := int64(0); at < f.Size; {
		n, err := in.ReadAt(buf[:min(int64(len(buf)), f.Size-at)], at)
		if n == 0 {
			return f, fmt.Errorf("%s: %w", in.Name(), errors.Join(err, io.ErrUnexpectedEOF))
		}
		f.CRC32 = crc32.Update(f.CRC32, table, buf[:n])
		if string(buf[:n]) != string(zero[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return f, err
			}
		}
		at += int64(n)
	}
	return f, nil
}
