// Command mutants asks how much the tests notice. It draws changes of packages from a seed (a negated condition, a
// dropped statement, a changed constant), runs the package's own tests on each, and prints which were caught. No file
// is touched: the change lies over the tree while the tests are built.
//
// A mutant that does not compile is drawn again. What runs into the time limit counts as caught. A survivor is either
// equivalent, so that nobody can distinguish it from the original, or a test is missing.
//
// With -results the fate of each mutant is kept in a file, and a draw that was cut short goes on where it was: for the
// same code and the same seed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type options struct {
	root     string
	packages []string
	seed     uint64
	skip     int
	n, least int
	limit    time.Duration
	trusted  bool
	short    bool
	list     bool
	results  string
}

func main() {
	o := options{}
	packages := ""
	flag.StringVar(&o.root, "root", ".", "folder of the module")
	flag.StringVar(&packages, "packages", "controller,gate,contract,figures,fleet,record", "folders in internal/")
	flag.Uint64Var(&o.seed, "seed", 1, "from which the mutants are drawn")
	flag.IntVar(&o.n, "n", 40, "how many mutants")
	flag.IntVar(&o.skip, "skip", 0, "how many of the seed's mutants come before the first, so that a draw can be tried in parts")
	flag.BoolVar(&o.trusted, "trusted", false, "do not run the tests without a change first")
	flag.IntVar(&o.least, "least", 0, "fail when fewer are caught")
	flag.DurationVar(&o.limit, "limit", 3*time.Minute, "for the tests of one mutant")
	flag.BoolVar(&o.short, "short", false, "run the tests with -short")
	flag.StringVar(&o.results, "results", "", "file that keeps the fate of each mutant; those in it are not tried again")
	flag.BoolVar(&o.list, "list", false, "print the mutants and run nothing")
	flag.Parse()
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		fmt.Fprintf(os.Stderr, "mutants: error: %v\n", err)
		os.Exit(1)
	}
	o.packages = strings.Split(packages, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		fmt.Fprintf(os.Stderr, "mutants: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	drawn, err := draw(o)
	if err != nil {
		return err
	}
	drawn = drawn[min(o.skip, len(drawn)):]
	if o.list {
		for _, m := range drawn[:min(o.n, len(drawn))] {
			fmt.Println(m.below(o.root))
		}
		return nil
	}
	work, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &bench{options: o, work: work}
	if b.known, err = readResults(o.results); err != nil {
		return err
	}
	if !o.trusted && len(b.known) == 0 {
		if err := b.unchanged(ctx); err != nil {
			return err
		}
	}
	return b.all(ctx, drawn)
}

// draw is every mutant of the packages in the seed's order.
func draw(o options) ([]mutant, error) {
	var out []mutant
	for _, name := range o.packages {
		dir, err := filepath.Abs(filepath.Join(o.root, "internal", name))
		if err != nil {
			return nil, err
		}
		found, err := mutantsOf(dir)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	rng := rand.New(rand.NewPCG(o.seed, 0))
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, nil
}

// bench runs tests on mutants.
type bench struct {
	options
	work   string
	known  map[string]string // fates of mutants that were tried before
	caught int
	tried  int
}

// Fates of mutants.
const (
	caught   = "caught"
	survived = "survived"
	broken   = "broken" // it does not compile
)

// unchanged fails unless the tests pass as they are: else everything would count as caught.
func (b *bench) unchanged(ctx context.Context) error {
	for _, name := range b.packages {
		dir := filepath.Join(b.root, "internal", name)
		out, err := b.build(ctx, dir)
		if err == nil {
			out, err = b.test(ctx, dir)
		}
		if err != nil {
			return fmt.Errorf("the tests of %s fail without a change: %w\n%s", name, err, tail(out))
		}
	}
	return ctx.Err()
}

func (b *bench) all(ctx context.Context, drawn []mutant) error {
	for _, m := range drawn {
		if b.tried == b.n {
			break
		}
		if err := b.one(ctx, m); err != nil {
			return err
		}
	}
	fmt.Printf("%d of %d caught (seed %d)\n", b.caught, b.tried, b.seed)
	if b.caught < b.least {
		return fmt.Errorf("%d are wanted", b.least)
	}
	return nil
}

// one prints the fate of a mutant, and counts it unless it does not compile.
func (b *bench) one(ctx context.Context, m mutant) error {
	name, began := m.below(b.root).String(), time.Now()
	fate, known := b.known[name]
	if !known {
		var err error
		if fate, err = b.fate(ctx, m); err != nil {
			return err
		}
		if err := keepResult(b.results, fate, name); err != nil {
			return err
		}
	}
	if fate == broken {
		return nil
	}
	if b.tried++; fate == caught {
		b.caught++
	}
	fmt.Printf("%-8s %5.1fs %s\n", fate, time.Since(began).Seconds(), name)
	return nil
}

// fate lays a mutant over the tree and runs the tests of its package.
func (b *bench) fate(ctx context.Context, m mutant) (string, error) {
	dir := filepath.Dir(m.file)
	overlay, err := b.overlay(m)
	if err != nil {
		return "", err
	}
	fate := survived
	if _, err := b.build(ctx, dir, "-overlay", overlay); err != nil {
		fate = broken
	} else if _, err := b.test(ctx, dir); err != nil {
		fate = caught
	}
	return fate, ctx.Err()
}

// overlay writes the file of go's -overlay in which the mutant takes the place of its original.
func (b *bench) overlay(m mutant) (string, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	mutated, overlay := filepath.Join(b.work, filepath.Base(m.file)), filepath.Join(b.work, "overlay.json")
	raw, err := json.Marshal(map[string]map[string]string{"Replace": {m.file: mutated}})
	return overlay, errors.Join(err, os.WriteFile(mutated, m.apply(source), 0o600), os.WriteFile(overlay, raw, 0o600))
}

// build makes the test program of the package in a folder, once for all its tests.
func (b *bench) build(ctx context.Context, dir string, more ...string) (string, error) {
	args := append([]string{"test", "-c", "-vet=off", "-o", b.program()}, more...)
	return command(ctx, dir, "go", append(args, ".")...)
}

func (b *bench) program() string { return filepath.Join(b.work, "package.test") }

// test runs the program that was built, in the folder of its package, and ends whatever it started.
func (b *bench) test(ctx context.Context, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit+10*time.Second)
	defer cancel()
	args := []string{"-test.failfast", "-test.timeout", b.limit.String()}
	if b.short {
		args = append(args, "-test.short")
	}
	return command(ctx, dir, b.program(), args...)
}

// command runs a program in a folder, as a group of processes of its own.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// readResults reads the fates of earlier mutants; there are none where there is no file.
func readResults(file string) (map[string]string, error) {
	known := map[string]string{}
	if file == "" {
		return known, nil
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return known, nil
	}
	for line := range strings.Lines(string(content)) {
		if fate, name, found := strings.Cut(strings.TrimSuffix(line, "\n"), " "); found {
			known[name] = fate
		}
	}
	return known, err
}

// keepResult adds the fate of a mutant to the file.
func keepResult(file, fate, name string) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, fate, name)
	return errors.Join(err, f.Close())
}

// tail is the end of a long text.
func tail(text string) string {
	const most = 2000
	if len(text) > most {
		return "..." + text[len(text)-most:]
	}
	return text
}
