package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// checkTime bounds one look at a tool.
const checkTime = 20 * time.Second

// Need is one thing this machine lacks.
type Need struct {
	What    string // such as "python"
	Package string // the Debian package that brings it
}

// Missing returns what this machine lacks to prepare and start the recipe,
// in the recipe's order. Optional tools are never missing.
func (r *Recipe) Missing(ctx context.Context) []Need {
	tools, slow := r.tools(ctx)
	var missing []Need
	for _, n := range r.spec.Needs {
		if n.Optional {
			continue
		}
		switch err := n.met(ctx, r.patience, tools, slow); {
		case errors.Is(err, errSlow):
			missing = append(missing, Need{What: fmt.Sprintf("%s (%v)", n.what(), err)}) // nothing to install
		case err != nil:
			missing = append(missing, Need{What: n.what(), Package: n.Package})
		}
	}
	return missing
}

// Errors of a look at a tool.
var (
	errAbsent = errors.New("is not there")
	errSlow   = errors.New("its check did not end in time")
)

func (n need) what() string {
	switch {
	case n.What != "":
		return n.What
	case n.Tool != "":
		return n.Tool
	case n.File != "":
		return n.File
	default:
		return n.PkgConfig
	}
}

// met is nil, or why a machine does not have what is needed; slow are the tools whose check took too long.
func (n need) met(ctx context.Context, within time.Duration, tools map[string]string, slow map[string]error) error {
	switch {
	case n.Tool != "" && tools[n.Tool] != "":
		return nil
	case n.Tool != "" && slow[n.Tool] != nil:
		return slow[n.Tool]
	case n.Tool != "":
		return errAbsent
	case n.File != "":
		_, err := os.Stat(n.File)
		return err
	case n.PkgConfig != "":
		return try(ctx, within, "pkg-config", "--exists", n.PkgConfig)
	default:
		argv := expandAll(n.Run, tools)
		return try(ctx, within, argv[0], argv[1:]...)
	}
}

// tools finds the recipe's tools: name to absolute path. A tool that is not
// there has no entry, and an error where its check took too long.
func (r *Recipe) tools(ctx context.Context) (found map[string]string, slow map[string]error) {
	found, slow = map[string]string{}, map[string]error{}
	for _, n := range r.spec.Needs {
		if n.Tool == "" {
			continue
		}
		path, err := n.find(ctx, r.patience)
		if errors.Is(err, errSlow) {
			slow[n.Tool] = err
		} else if err == nil {
			found[n.Tool] = path
		}
	}
	return found, slow
}

// find returns the absolute path of the first candidate that passes the
// check, errSlow when none did and one took too long, or errAbsent.
func (n need) find(ctx context.Context, within time.Duration) (string, error) {
	candidates := n.AnyOf
	if candidates == nil {
		candidates = []string{n.Tool}
	}
	why := errAbsent
	for _, path := range paths(candidates) {
		var err error
		if n.Check != nil {
			err = try(ctx, within, path, n.Check...)
		}
		if err == nil {
			return path, nil
		}
		if errors.Is(err, errSlow) {
			why = err
		}
	}
	return "", why
}

// paths are the candidates that are there, as absolute paths. Where bakeoff is root, those come first that every account can
// run: targets run under one of their own.
func paths(candidates []string) (found []string) {
	for _, candidate := range candidates {
		path, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err == nil {
			found = append(found, path)
		}
	}
	if os.Geteuid() == 0 {
		slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(hidden(a), hidden(b)) })
	}
	return found
}

// hidden is 1 for a program that not every account can reach, read and run.
func hidden(path string) int {
	real, err := filepath.EvalSymlinks(path)
	if err != nil || !Passable(filepath.Dir(path)) || !Passable(filepath.Dir(real)) {
		return 1
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm()&0o005 != 0o005 {
		return 1 // a script must be read by its interpreter, too
	}
	return 0
}

// try runs a short command: nil when it exits 0, errSlow when it does not end in time.
func try(ctx context.Context, within time.Duration, name string, args ...string) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := exec.CommandContext(bounded, name, args...)
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %s ran for more than %v", errSlow, name, within)
	}
	return err
}

// require returns the recipe's tools, or an error that names all that is missing.
func (r *Recipe) require(ctx context.Context) (map[string]string, error) {
	if missing := r.Missing(ctx); len(missing) > 0 {
		return nil, &MissingError{Target: r.Name, Needs: missing}
	}
	tools, _ := r.tools(ctx)
	return tools, nil
}

// MissingError says what a machine lacks for a target.
type MissingError struct {
	Target string
	Needs  []Need
}

func (e *MissingError) Error() string {
	text := fmt.Sprintf("target: %s: this machine lacks", e.Target)
	for i, n := range e.Needs {
		if i > 0 {
			text += ","
		}
		text += " " + n.What
		if n.Package != "" {
			text += fmt.Sprintf(" (package %s)", n.Package)
		}
	}
	return text
}
