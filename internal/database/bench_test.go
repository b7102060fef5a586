package database

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bakeoff/internal/dataset"
)

// TestBenchData compares our fill with the database's own client loading the
// same rows from a file into the table with its index in place, on one server
// with one set of settings, alternating; then the start on a cached data
// directory with a fill. BAKEOFF_BENCH=1 runs it: it takes minutes.
func TestBenchData(t *testing.T) {
	if os.Getenv("BAKEOFF_BENCH") == "" {
		t.Skip("SKIPPED: set BAKEOFF_BENCH=1")
	}
	const rounds = 3
	d, err := dataset.New(dataset.Spec{Rows: 1_000_000, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rows.tsv")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := startPrivate(t, Options{Dataset: d}) // runs with the settings for filling
	var ours, theirs []float64
	for range rounds {
		theirs = append(theirs, timed(t, "client", func() error { return clientLoads(t.Context(), s, file) }))
		ours = append(ours, timed(t, "bakeoff", func() error {
			fresh, err := dataset.New(d.Spec()) // nothing remembered
			if err != nil {
				return err
			}
			return s.load(t.Context(), fresh, func(int64, int64) {})
		}))
	}
	if digest, err := s.Digest(t.Context()); err != nil || digest != d.Digest() {
		t.Fatalf("%s %v", digest, err)
	}
	if err := s.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("fill: bakeoff %.2f s, client %.2f s (medians of %d): median ratio of neighbours %.2f, goal 0.60\n", median(ours), median(theirs), rounds, ratio(ours, theirs))

	cache := t.TempDir()
	var fills, copies []float64
	for range rounds {
		for _, want := range []bool{false, true} {
			spent := timed(t, fmt.Sprintf("start and fill, from cache %t", want), func() error {
				return startAndFill(t, cache, d.Spec(), want)
			})
			if want {
				copies = append(copies, spent)
			} else {
				fills = append(fills, spent)
			}
		}
		if err := os.RemoveAll(cache); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Printf("start: from cache %.2f s, filled %.2f s (medians of %d): median ratio of neighbours %.2f, goal 0.20\n", median(copies), median(fills), rounds, ratio(copies, fills))
}

// startAndFill does all that a run does until its table is ready.
func startAndFill(t *testing.T, cache string, spec dataset.Spec, fromCache bool) error {
	fresh, err := dataset.New(spec)
	if err != nil {
		return err
	}
	s, err := Start(t.Context(), Options{Platform: newPlatform(t), Dir: t.TempDir(), CacheDir: cache, Dataset: fresh})
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = s.Stop(context.Background(), 0) })
	filled, err := s.Fill(t.Context(), fresh, nil)
	if err == nil && filled.FromCache != fromCache {
		err = fmt.Errorf("from cache: %t", filled.FromCache)
	}
	go func() { _ = s.Stop(context.Background(), 0) }()
	return err
}

// clientLoads is what a person would do.
func clientLoads(ctx context.Context, s *Server, file string) error {
	withIndex := ddl[:len(ddl)-len(") CHARACTER SET = utf8mb4 COLLATE = "+collation+" ENGINE = InnoDB")] +
		", INDEX (name)) CHARACTER SET = utf8mb4 COLLATE = " + collation + " ENGINE = InnoDB"
	if err := s.run(ctx, "DROP TABLE IF EXISTS demo_data", withIndex); err != nil {
		return err
	}
	client, err := exec.LookPath("mariadb")
	if err != nil {
		if client, err = exec.LookPath("mysql"); err != nil {
			return err
		}
	}
	options := filepath.Join(filepath.Dir(file), "client.cnf")
	if err := writeFile(options, fmt.Sprintf("[client]\nuser=%s\npassword=%s\nsocket=%s\n", adminUser, s.private.admin, s.private.path("sock"))); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, client, "--defaults-file="+options, "--local-infile=1", schemaName, "-e",
		"LOAD DATA LOCAL INFILE '"+file+"' INTO TABLE demo_data CHARACTER SET utf8mb4 (id, name)").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	return nil
}

func timed(t *testing.T, what string, f func() error) float64 {
	t.Helper()
	began := time.Now()
	if err := f(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	spent := time.Since(began).Seconds()
	fmt.Printf("  %s: %.2f s\n", what, spent)
	return spent
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// ratio is the median of the ratios of what was measured one after the other:
// on a shared machine neighbours have more in common than medians.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}
