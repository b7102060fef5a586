package target

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	tools := r.tools(ctx)
	var missing []Need
	for _, n := range r.spec.Needs {
		if !n.Optional && !n.met(ctx, tools) {
			missing = append(missing, Need{What: n.what(), Package: n.Package})
		}
	}
	return missing
}

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

func (n need) met(ctx context.Context, tools map[string]string) bool {
	switch {
	case n.Tool != "":
		return tools[n.Tool] != ""
	case n.File != "":
		_, err := os.Stat(n.File)
		return err == nil
	case n.PkgConfig != "":
		return succeeds(ctx, "pkg-config", "--exists", n.PkgConfig)
	default:
		argv := expandAll(n.Run, tools)
		return succeeds(ctx, argv[0], argv[1:]...)
	}
}

// tools finds the recipe's tools: name to absolute path. A tool that is not
// there has no entry.
func (r *Recipe) tools(ctx context.Context) map[string]string {
	found := map[string]string{}
	for _, n := range r.spec.Needs {
		if n.Tool == "" {
			continue
		}
		if path := n.find(ctx); path != "" {
			found[n.Tool] = path
		}
	}
	return found
}

// find returns the absolute path of the first candidate that passes the
// check, or "".
func (n need) find(ctx context.Context) string {
	candidates := n.AnyOf
	if candidates == nil {
		candidates = []string{n.Tool}
	}
	for _, candidate := range candidates {
		path, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		path, err = filepath.Abs(path)
		if err == nil && (n.Check == nil || succeeds(ctx, path, n.Check...)) {
			return path
		}
	}
	return ""
}

// succeeds runs a short command and tells whether it exits 0.
func succeeds(ctx context.Context, name string, args ...string) bool {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	return cmd.Run() == nil
}

// require returns the recipe's tools, or an error that names all that is missing.
func (r *Recipe) require(ctx context.Context) (map[string]string, error) {
	if missing := r.Missing(ctx); len(missing) > 0 {
		return nil, &MissingError{Target: r.Name, Needs: missing}
	}
	return r.tools(ctx), nil
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
		text += fmt.Sprintf(" %s (package %s)", n.What, n.Package)
	}
	return text
}
