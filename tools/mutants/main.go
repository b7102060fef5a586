// Command mutants asks how much the tests notice. It draws changes of packages from a seed (a negated condition, a
// dropped statement, a changed constant), runs the package's own tests on each, and prints which were caught. No file
// is touched: the change lies over the tree while the tests are built.
//
// A mutant that does not compile is drawn again. What runs into the time limit counts as caught. A survivor is either
// equivalent, so that nobody can distinguish it from the original, or a test is missing.
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
	if !o.trusted {
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
	caught int
	tried  int
}

// unchanged fails unless the tests pass as they are: else everything would count as caught.
func (b *bench) unchanged(ctx context.Context) error {
	for _, name := range b.packages {
		if out, err := b.test(ctx, filepath.Join("internal", name), "."); err != nil {
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

// one lays a mutant over the tree and runs the tests of its package.
func (b *bench) one(ctx context.Context, m mutant) error {
	dir := filepath.Dir(m.file)
	overlay, err := b.overlay(m)
	if err != nil {
		return err
	}
	if _, err := b.test(ctx, dir, "^$", "-overlay", overlay); err != nil {
		return ctx.Err() // does not compile
	}
	began := time.Now()
	_, err = b.test(ctx, dir, ".", "-overlay", overlay)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fate := "survived"
	if b.tried++; err != nil {
		fate = "caught"
		b.caught++
	}
	fmt.Printf("%-8s %5.1fs %v\n", fate, time.Since(began).Seconds(), m.below(b.root))
	return nil
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

// test runs those tests of the package in a folder that match, and ends whatever they started.
func (b *bench) test(ctx context.Context, dir, match string, more ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit+time.Minute) // building takes its time too
	defer cancel()
	args := append([]string{"test", "-count=1", "-failfast", "-vet=off", "-timeout", b.limit.String(), "-run", match}, more...)
	if b.short {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir = dir
	if !filepath.IsAbs(dir) {
		cmd.Dir = filepath.Join(b.root, dir)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tail is the end of a long text.
func tail(text string) string {
	const most = 2000
	if len(text) > most {
		return "..." + text[len(text)-most:]
	}
	return text
}
