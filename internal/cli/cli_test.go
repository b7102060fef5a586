package cli_test

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bakeoff/internal/cli"
)

// TestMain lets the test binary be the program itself, roles included.
func TestMain(m *testing.M) {
	// Under nohup the hang-up signal is ignored, and children would inherit that. What is handled they do not inherit.
	if strings.HasSuffix(os.Args[0], ".test") && signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	if strings.HasSuffix(os.Args[0], ".test") {
		_ = flag.Set("test.parallel", "4") // whole runs mostly wait
	}
	testscript.Main(m, map[string]func(){"bakeoff": func() {
		os.Exit(cli.Main(context.Background(), cli.Env{
			Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Assets: os.DirFS(os.Getenv("BAKEOFF_ASSETS")), Getenv: os.Getenv,
		}))
	}})
}

// TestScripts runs the command line as users do: one script per subject.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("BAKEOFF_ASSETS", root)
			env.Setenv("BAKEOFF_CACHE", filepath.Join(cache, "bakeoff"))
			env.Setenv("HOME", os.Getenv("HOME"))
			env.Setenv("BAKEOFF_LOCK", "bakeoff-test-"+filepath.Base(env.WorkDir))
			return nil
		},
	})
}
