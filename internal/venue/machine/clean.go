package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"bakeoff/internal/database"
	"bakeoff/internal/plan"
	"bakeoff/internal/target"
)

// CleanCache removes prepared targets that no process uses, and filled tables.
func CleanCache(dir string) (target.Cleaned, error) {
	var cleaned target.Cleaned
	var errs []error
	own, used := filepath.Join(dir, "targets"), preparedDir(dir)
	for _, prepared := range slices.Compact([]string{own, used}) { // as another account or version may have left some
		some, err := target.CleanCache(prepared)
		cleaned.Bytes, cleaned.InUse = cleaned.Bytes+some.Bytes, append(cleaned.InUse, some.InUse...)
		errs = append(errs, err)
	}
	bytes, err := database.CleanCache(filepath.Join(dir, "data"))
	cleaned.Bytes += bytes
	errs = append(errs, err)
	logs, _ := filepath.Glob(filepath.Join(dir, "prepare-*.log")) // of earlier versions; the pattern is well formed
	for _, log := range logs {
		errs = append(errs, os.Remove(log))
	}
	return cleaned, errors.Join(errs...)
}

// Restore puts right what killed runs have left on the external database of a plan.
func Restore(ctx context.Context, p *plan.Plan) (done database.Restored, err error) {
	db, err := database.Open(ctx, database.External{DSNFile: p.Database.DSNFile, AllowHosts: p.AllowHosts})
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Stop(context.WithoutCancel(ctx), 0)) }()
	return db.Restore(ctx)
}
