package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"bakeoff/internal/platform"
	"bakeoff/internal/show"
)

// Names inside a prepared folder.
const (
	recipeDir  = "recipe" // copy of the target's folder
	buildDir   = "build"  // what the steps made
	doneFile   = "done.json"
	prepareLog = "prepare.log" // what all steps printed
	stepLog    = "step.log"    // what the step under way prints
)

// Prepared is a recipe ready to be started. Its folder is held for this process until that ends.
type Prepared struct {
	Recipe   *Recipe
	Dir      string            // absolute
	Digest   string            // of the recipe's folder
	Versions map[string]string // package to version
	Cached   bool              // nothing had to be done
	Kept     int               // leading steps that were not run again

	tools   map[string]string
	held    *os.File // keeps others from preparing another content here
	options Preparation
}

// Preparation says where and by what a recipe is prepared.
type Preparation struct {
	CacheDir string
	// Platform runs the steps: whatever they start ends with it.
	Platform platform.Platform
	// Progress, where there is one, is called when a step begins, and with passing set about once a
	// second with the last line that it printed. Calls come from one goroutine.
	Progress func(text string, passing bool)
}

func (o Preparation) tell(passing bool, format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...), passing)
	}
}

// done is the marker written last: what was prepared, with which tools.
type done struct {
	Digest   string            `json:"digest"`
	Tools    map[string]string `json:"tools"` // name to path, size and time of change
	Versions map[string]string `json:"versions"`
	Seconds  float64           `json:"seconds"`
}

// Prepare copies the recipe's folder into the cache and runs its steps there,
// unless that was done before with the same content and the same tools; all variants share it.
// After an edit, or a step that failed, only the steps are run whose inputs have changed, and
// those after them; see steps. Of two preparations of one name at once the second waits for the
// first. A folder that a living process has prepared for itself is left as it is.
func Prepare(ctx context.Context, r *Recipe, o Preparation) (*Prepared, error) {
	p, err := prepare(ctx, r, o)
	if err != nil {
		return nil, fmt.Errorf("target: prepare %s: %w", r.Name, err)
	}
	return p, nil
}

func prepare(ctx context.Context, r *Recipe, o Preparation) (*Prepared, error) {
	tools, err := r.require(ctx)
	if err != nil {
		return nil, err
	}
	cacheDir, err := filepath.Abs(o.CacheDir)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(cacheDir, r.Name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockName(ctx, home, func(text string) { o.tell(false, "%s", text) })
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	p := &Prepared{Recipe: r, Digest: r.digest, tools: tools, options: o}
	kept, err := p.place(home)
	if err == nil && !p.Cached {
		err = p.build(ctx, kept)
	}
	if err == nil {
		err = share(p.held)
	}
	if err != nil && p.held != nil {
		p.held.Close()
	}
	return p, err
}

// build makes the folder what the recipe says, beginning with the steps that are kept, and writes the marker.
func (p *Prepared) build(ctx context.Context, keep int) error {
	began := time.Now()
	steps := p.steps()
	p.Kept = keep
	if err := p.restore(keep); err != nil {
		return err
	}
	if keep > 0 {
		p.options.tell(false, "%s: %d of %s as before", p.Recipe.Name, keep, show.Plural(len(steps), "step"))
	}
	copied := map[string]bool{}
	for i, s := range steps {
		if i < keep {
			s.markInputs(copied)
			continue
		}
		if err := p.copyInputs(s.inputs, copied); err != nil {
			return err
		}
		if err := p.step(ctx, i, s, len(steps)); err != nil {
			return err
		}
	}
	if err := p.copyInputs(p.Recipe.Files(), copied); err != nil {
		return err
	}
	var err error
	if p.Versions, err = p.readVersions(ctx); err != nil {
		return fmt.Errorf("versions: %w", err)
	}
	if err := p.publish(); err != nil {
		return err
	}
	return writeDone(p.Dir, done{
		Digest: p.Digest, Tools: stamps(p.tools), Versions: p.Versions, Seconds: time.Since(began).Seconds(),
	})
}

// step runs one step and, where a later edit may keep it, notes what the folder holds after it.
func (p *Prepared) step(ctx context.Context, i int, s chained, of int) error {
	argv := expandAll(s.argv, p.values())
	what := fmt.Sprintf("%s: step %d of %d: %s", p.Recipe.Name, i+1, of, show.Clip(brief(s.argv), 60))
	p.options.tell(false, "preparing %s", what)
	if err := p.run(ctx, argv, what); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("step %d of %d, %s: %w; it printed (all of it: %s):\n%s",
			i+1, of, brief(s.argv), err, filepath.Join(p.Dir, prepareLog), platform.LogTail(filepath.Join(p.Dir, stepLog)))
	}
	if !s.keepable {
		return nil
	}
	if err := p.publish(); err != nil { // the note holds the modes
		return err
	}
	return p.noteStep(i, s)
}

// brief is a command for people: without the folder of its program, as the recipe writes it.
func brief(argv []string) string {
	return strings.Join(append([]string{filepath.Base(argv[0])}, argv[1:]...), " ")
}

// values are the placeholders known while preparing.
func (p *Prepared) values() map[string]string {
	return merged(p.tools, map[string]string{
		"recipe": filepath.Join(p.Dir, recipeDir),
		"build":  filepath.Join(p.Dir, buildDir),
	})
}

// path is the search path of a started target: where its tools lie, then the
// system's own folders, and nothing else of the user's.
func (p *Prepared) path() string {
	var dirs []string
	for _, n := range p.Recipe.spec.Needs {
		if tool := p.tools[n.Tool]; filepath.IsAbs(tool) { // in an image it is a name
			dirs = append(dirs, filepath.Dir(tool))
		}
	}
	unique := []string{}
	for _, dir := range append(dirs, "/usr/local/bin", "/usr/bin", "/bin") {
		if !slices.Contains(unique, dir) {
			unique = append(unique, dir)
		}
	}
	return strings.Join(unique, string(filepath.ListSeparator))
}

func (p *Prepared) readVersions(ctx context.Context) (map[string]string, error) {
	if err := p.run(ctx, expandAll(p.Recipe.spec.Versions, p.values()), p.Recipe.Name+": reading versions"); err != nil {
		return nil, fmt.Errorf("%w; it printed:\n%s", err, platform.LogTail(filepath.Join(p.Dir, stepLog)))
	}
	out, err := os.ReadFile(filepath.Join(p.Dir, stepLog))
	if err != nil {
		return nil, err
	}
	versions, err := lastObject(string(out))
	switch {
	case err != nil:
		return nil, fmt.Errorf("printed no JSON object of strings: %w", err)
	case len(versions) == 0:
		return nil, errors.New("names no package")
	}
	return versions, nil
}

// lastObject is the JSON object that ends a text: warnings of the tool may come before it.
func lastObject(text string) (map[string]string, error) {
	err := errors.New("no line begins with {")
	for at := 0; at < len(text); {
		rest := text[at:]
		if strings.HasPrefix(rest, "{") {
			var versions map[string]string
			if err = json.Unmarshal([]byte(rest), &versions); err == nil {
				return versions, nil
			}
		}
		next := strings.IndexByte(rest, '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return nil, err
}

// inherited are the user's variables that every preparation gets; a recipe
// names further ones.
func inherited() []string {
	return []string{
		"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_*", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
	}
}

func (p *Prepared) prepareEnv() []string {
	patterns := append(inherited(), p.Recipe.spec.Prepare.Inherit...)
	env := []string{"LANG=C.UTF-8"}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, name) }) {
			env = append(env, pair)
		}
	}
	return append(env, pairs(p.Recipe.spec.Prepare.Env, p.values())...)
}

func matches(pattern, name string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, start)
	}
	return pattern == name
}

// pairs is env as sorted KEY=VALUE with its placeholders filled in.
func pairs(env, values map[string]string) []string {
	out := make([]string, 0, len(env))
	for name, value := range env {
		out = append(out, name+"="+expand(value, values))
	}
	slices.Sort(out)
	return out
}

// stamps distinguishes one build of a tool from another.
func stamps(tools map[string]string) map[string]string {
	out := map[string]string{}
	for name, path := range tools {
		if info, err := os.Stat(path); err == nil {
			out[name] = fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return out
}

func (d *done) fits(digest string, tools map[string]string) bool {
	if d.Digest != digest {
		return false
	}
	now := stamps(tools)
	for name, stamp := range d.Tools {
		if now[name] != stamp {
			return false
		}
	}
	return true
}

func readDone(dir string) (*done, error) {
	data, err := os.ReadFile(filepath.Join(dir, doneFile))
	if err != nil {
		return nil, err
	}
	var d done
	return &d, json.Unmarshal(data, &d)
}

// writeDone writes the marker so that it is whole or absent.
func writeDone(dir string, d done) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, doneFile), append(data, '\n'), 0o600)
}
