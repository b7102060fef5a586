package target

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/shell"
	"bakeoff/internal/show"
)

// run runs one command of the preparation in the recipe's copy, and waits until everything that
// it started has ended; what says so in the progress. Its output is in step.log, and at the end of prepare.log.
func (p *Prepared) run(ctx context.Context, argv []string, what string) (err error) {
	log := filepath.Join(p.Dir, stepLog)
	process, err := p.options.Platform.Start(ctx, platform.Spec{
		Name: "prepare", Argv: argv, Env: p.prepareEnv(), Dir: filepath.Join(p.Dir, recipeDir), Log: log,
	})
	if err != nil {
		return err
	}
	p.follow(ctx, process, log, what)
	interrupted := ctx.Err()
	ended := process.Exit()
	if err := process.Stop(context.WithoutCancel(ctx), 0); err != nil {
		return err
	}
	switch err := p.keepLog(argv, log); {
	case interrupted != nil:
		return interrupted
	case err != nil:
		return err
	case ended.Code != 0:
		return errors.New(ended.String())
	}
	return nil
}

// follow waits for a command and passes on the last line that it printed.
func (p *Prepared) follow(ctx context.Context, process platform.Process, log, what string) {
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-process.Done():
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			line := platform.LogTail(log)
			line = line[strings.LastIndexByte(line, '\n')+1:]
			p.options.tell(true, "preparing %s, %s: %s", what, show.Duration(time.Since(began).Round(time.Second)), show.Clip(show.Inert(line), 100))
		}
	}
}

// keepLog adds what a command printed to the log of the whole preparation.
func (p *Prepared) keepLog(argv []string, log string) error {
	all, err := os.OpenFile(filepath.Join(p.Dir, prepareLog), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	printed, err := os.Open(log)
	if err != nil {
		return errors.Join(err, all.Close())
	}
	defer printed.Close()
	_, err = io.Copy(all, io.MultiReader(bytes.NewReader([]byte("$ "+shell.Line(argv)+"\n")), printed))
	return errors.Join(err, all.Close())
}
