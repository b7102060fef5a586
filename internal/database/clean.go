package database

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CleanCache removes every filled table in a cache folder and returns how many bytes that were. Anyone who is
// just copying one finds it gone and fills the table itself.
func CleanCache(dir string) (bytes int64, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	errs := []error{err}
	for _, entry := range entries {
		away := filepath.Join(dir, temporaryPrefix+rand.Text())
		if err := os.Rename(filepath.Join(dir, entry.Name()), away); err != nil {
			errs = append(errs, err)
			continue
		}
		bytes += sizeOf(away)
		errs = append(errs, os.RemoveAll(away))
	}
	if err := errors.Join(errs...); err != nil {
		return bytes, fmt.Errorf("database: clean: %w", err)
	}
	return bytes, nil
}

// sizeOf is the length of all files below a path.
func sizeOf(path string) (bytes int64) {
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // removed since
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// Restored is what was put right on a server of somebody else.
type Restored struct {
	Rows     int64    // that were put back as they had been
	Accounts []string // that were removed, with their connections
}

// Restore puts right what killed runs have left on a server of somebody else: rows of bakeoff's table that they had changed, and
// accounts of their trials. It fails where another bakeoff uses the schema, and changes nothing of a table that is not bakeoff's.
func (s *Server) Restore(ctx context.Context) (done Restored, err error) {
	mark, _, err := s.survey(ctx)
	if err == nil && mark != "" {
		done, err = s.restore(ctx)
	}
	if err != nil {
		return done, fmt.Errorf("database: restore: %w", err)
	}
	return done, nil
}

func (s *Server) restore(ctx context.Context) (done Restored, err error) {
	err = s.use(ctx, func(c *sql.Conn) error {
		present, err := tableExists(ctx, c, journalTable)
		if err != nil || !present {
			return err
		}
		return c.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+journalTable).Scan(&done.Rows)
	})
	if err == nil {
		err = s.UndoMoves(ctx)
	}
	if err != nil {
		return Restored{}, err
	}
	left, err := s.leftAccounts(ctx)
	for _, user := range left {
		if one := errors.Join(s.drop(ctx, user), s.disband(ctx, user)); one != nil {
			err = errors.Join(err, one)
			continue
		}
		done.Accounts = append(done.Accounts, user)
	}
	return done, err
}
