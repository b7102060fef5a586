package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"bakeoff/internal/checkout"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/show"
)

// abPlan is the plan of bakeoff ab where none is given. The target's place is taken by both versions.
const abPlan = `name: ab
description: Two versions of one target, in turns.
blocks: 10
dataset: {rows: 20000}
deployment: {replicas: 1, workers: 2, pool: 8}
targets: [./target]
warmup: 500ms to 1500ms
pilot: 1s
turns: 250ms
phases: [{name: closed, model: closed, connections: 16, duration: 4s}]
`

// template is the plan in which the versions are to take the place of its target.
func (f *abFlags) template(env Env) (planFile, error) {
	var p planFile
	var err error
	if f.plan == "" {
		p.name = "the plan of bakeoff ab"
		p.Plan, err = plan.Load(p.name, []byte(abPlan))
	} else {
		p, err = loadPlan(env, f.plan)
	}
	if err != nil {
		return p, err
	}
	switch {
	case p.Running():
		return p, usageError{fmt.Errorf("%s: the targets are running servers: ab prepares and starts both versions itself", p.name)}
	case len(p.Targets) != 1:
		return p, misused("leave the one whose versions are compared", "%s has %d targets: a plan for ab has one", p.name, len(p.Targets))
	}
	return p, p.margin(f.delta)
}

// withVersions is the plan with base and head in the place of its target; paths of their recipes are relative to dir.
func (p planFile) withVersions(found abVersions, dir string) (planFile, error) {
	whole := *p.Plan
	whole.Targets = nil
	if jmx := whole.Agents.JMX; jmx != "" && !filepath.IsAbs(jmx) { // the plan's own folder, not the temporary one
		whole.Agents.JMX = filepath.Join(p.dir, jmx)
	}
	for i, name := range []string{record.Base, record.Head} {
		t := p.Targets[0]
		t.Name, t.Recipe = name, found[i].recipe
		whole.Targets = append(whole.Targets, t)
	}
	text := whole.YAML()
	checked, err := plan.Load("the plan of base and head", text)
	if err != nil {
		return p, usageError{err}
	}
	return planFile{Plan: checked, given: text, name: "the plan of base and head", dir: dir}, nil
}

// abVersions are base and head, in this order.
type abVersions [2]abVersion

// abVersion is one version of a target, as a folder.
type abVersion struct {
	record.Revision
	recipe string // of the plan: a whole path, or one relative to the temporary folder
}

func (v abVersions) revisions() *record.Revisions {
	return &record.Revisions{Base: v[0].Revision, Head: v[1].Revision}
}

// findVersions finds what base and head name, and writes those that are commits into a temporary folder.
func findVersions(ctx context.Context, env Env, target string, args []string, dir string) (out abVersions, err error) {
	for i, name := range []string{record.Base, record.Head} {
		if out[i], err = findVersion(ctx, env, target, args[i], name, dir); err != nil {
			return out, err
		}
	}
	return out, nil
}

func findVersion(ctx context.Context, env Env, target, given, name, dir string) (abVersion, error) {
	if target == "" {
		return ofFolder(ctx, env, given)
	}
	folder, err := checkout.Find(ctx, target)
	if err != nil {
		return abVersion{}, misused("without --target, BASE and HEAD are folders", "--target: %w", err)
	}
	commit, err := folder.Commit(ctx, given)
	if err != nil && isFolder(given) {
		return ofFolder(ctx, env, given)
	}
	if err != nil {
		return abVersion{}, misused("nothing is fetched: git fetch brings it, and in a workflow fetch-depth: 0", "%w, and no folder", err)
	}
	v := abVersion{record.Revision{Given: given, Folder: folder.Path(), Commit: commit}, "./" + name}
	if v.Dirty, err = changedBeside(ctx, folder, commit); err != nil {
		return v, err
	}
	if err := folder.Write(ctx, commit, filepath.Join(dir, name)); err != nil {
		return v, misused("--target is the target's folder, in both versions", "%s: %w", given, err)
	}
	return v, nil
}

// changedBeside reports whether a commit is the one that is checked out and the working tree has changes of the folder.
func changedBeside(ctx context.Context, folder checkout.Folder, commit string) (bool, error) {
	head, err := folder.Commit(ctx, "HEAD")
	if err != nil || head != commit {
		return false, nil //nolint:nilerr // nothing is checked out
	}
	return folder.Dirty(ctx)
}

// ofFolder is a version that is a folder, with its commit where it is in a repository. What git cannot say of it stays unknown,
// with a warning: the folder is measured as it is.
func ofFolder(ctx context.Context, env Env, given string) (abVersion, error) {
	whole, err := filepath.Abs(given)
	if err != nil {
		return abVersion{}, fmt.Errorf("ab: %w", err)
	}
	v := abVersion{record.Revision{Given: given, Tree: true}, whole}
	if _, err := os.Stat(filepath.Join(whole, "target.yaml")); errors.Is(err, fs.ErrNotExist) {
		return v, misused("BASE and HEAD are folders of a target, or with --target FOLDER names of commits", "%s is no folder with a target.yaml", given)
	}
	unknown := abVersion{record.Revision{Given: given}, whole}
	folder, err := checkout.Find(ctx, whole)
	if err == nil {
		v.Folder = folder.Path()
		if v.Commit, err = folder.Commit(ctx, "HEAD"); err != nil {
			return v, context.Cause(ctx) // a repository without a commit
		}
		if v.Dirty, err = folder.Dirty(ctx); err == nil {
			return v, nil
		}
	}
	if ctx.Err() != nil {
		return v, context.Cause(ctx)
	}
	if !errors.Is(err, checkout.ErrNoRepository) {
		fmt.Fprintf(env.Stderr, "bakeoff: warning: %s: its commit is not known: %s\n", show.Inert(given), show.InertLines(err.Error()))
	}
	return unknown, nil
}
