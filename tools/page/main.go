// Command page makes the files that a browser gets from `bakeoff dashboard` out of internal/dashboard/page: the scripts and styles
// with uPlot in them, and the licences. It writes them to the folder given; those in internal/dashboard/page/dist are committed, so
// that nobody who builds bakeoff needs it.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// most is how large all files may be together, in bytes.
const most = 150_000

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: page SOURCE OUTPUT")
		os.Exit(2)
	}
	if err := build(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

func build(from, to string) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: from, EntryPoints: []string{"main.ts", "page.css"}, EntryNames: "[name]", Outdir: to,
		Bundle: true, MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true,
		Format: api.FormatESModule, Target: api.ES2022, Charset: api.CharsetASCII, LegalComments: api.LegalCommentsNone, TreeShaking: api.TreeShakingTrue,
	})
	var problems []error
	for _, m := range result.Errors {
		problems = append(problems, fmt.Errorf("%s: %s", place(m.Location), m.Text))
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	out := map[string][]byte{}
	for _, f := range result.OutputFiles {
		name := filepath.Base(f.Path)
		if name == "main.js" {
			name = "page.js"
		}
		out[name] = f.Contents
	}
	for name, source := range map[string]string{"icon.svg": "icon.svg", "licences.txt": "licences.txt"} {
		if out[name], err = os.ReadFile(filepath.Join(from, source)); err != nil {
			return err
		}
	}
	return write(out, to)
}

func place(l *api.Location) string {
	if l == nil {
		return "esbuild"
	}
	return fmt.Sprintf("%s:%d", l.File, l.Line)
}

func write(files map[string][]byte, to string) error {
	sum := 0
	for _, content := range files {
		sum += len(content)
	}
	if sum > most {
		return fmt.Errorf("the files have %d bytes together, at most %d are allowed", sum, most)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d files, %d bytes\n", len(files), sum)
	return nil
}
