package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"bakeoff/internal/plan"
	"bakeoff/internal/shell"
	"bakeoff/internal/target"
)

func initCommand(env Env) *cobra.Command {
	return parts(&cobra.Command{
		Use: "init", Short: "create a target or a plan of your own",
	}, initTarget(env), initPlan(env))
}

func initTarget(env Env) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "target NAME",
		Short: "create a target: a folder that keeps the contract, for you to change",
		Long: `init target creates the folder NAME in the working folder: a copy of a built-in target,
which passes verify as it is. NAME may be a path; its last part is the target's name. A plan
names a target of yours by its path from the plan's file, which begins with ./, ../ or /.`,
		Args: exactly(1, "one name"),
		RunE: func(_ *cobra.Command, args []string) error { return beginTarget(env, args[0], from) },
	}
	cmd.Flags().StringVar(&from, "from", "flask", "the built-in target to copy")
	return cmd
}

func beginTarget(env Env, dir, from string) error {
	recipes, err := fs.Sub(env.Assets, "targets")
	if err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	recipe, err := target.Load(recipes, from, "")
	if err != nil {
		return usageError{fmt.Errorf("--from: %w", err)}
	}
	if _, err := recipe.CopyAs(dir, filepath.Base(dir)); err != nil {
		return usageError{err}
	}
	fmt.Fprintf(env.Stdout, "wrote %s, a copy of %s; next: bakeoff verify %s\n", dir, from, shell.Word(asPath(dir)))
	return nil
}

// asPath is a path that cannot be taken for the name of something carried.
func asPath(path string) string {
	if filepath.IsAbs(path) || filepath.Dir(path) != "." {
		return path
	}
	return "./" + filepath.Clean(path)
}

func initPlan(env Env) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "plan NAME",
		Short: "create a plan for you to change",
		Long: `init plan creates NAME.yaml in the working folder: a copy of a built-in plan. NAME may be
a path; its last part is the plan's name.`,
		Args: exactly(1, "one name"),
		RunE: func(_ *cobra.Command, args []string) error { return beginPlan(env, trimYAML(args[0]), from) },
	}
	cmd.Flags().StringVar(&from, "from", "demo", "the built-in plan to copy")
	helpWithPlans(env, cmd)
	return cmd
}

// nameLine is the line of a plan that names it.
var nameLine = regexp.MustCompile(`(?m)^name:.*$`)

func beginPlan(env Env, path, from string) error {
	given, err := fs.ReadFile(env.Assets, "plans/"+trimYAML(from)+".yaml")
	if err != nil {
		return misused(carriedHint(env), "--from: there is no built-in plan %q", from)
	}
	file := path + ".yaml"
	data := nameLine.ReplaceAllLiteral(given, []byte("name: "+filepath.Base(path)))
	if _, err := plan.Load(file, data); err != nil {
		return usageError{err}
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return usageError{fmt.Errorf("plan: %w", err)}
	}
	_, err = out.Write(data)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	fmt.Fprintf(env.Stdout, "wrote %s, a copy of %s; next: bakeoff check %s\n", file, from, shell.Word(file))
	return nil
}
