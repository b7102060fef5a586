package target

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"bakeoff/internal/shell"
)

// Names inside a prepared folder.
const (
	recipeDir  = "recipe" // copy of the target's folder
	buildDir   = "build"  // what the steps made
	doneFile   = "done.json"
	prepareLog = "prepare.log"
)

// Prepared is a recipe ready to be started.
type Prepared struct {
	Recipe   *Recipe
	Dir      string            // absolute
	Digest   string            // of the recipe's folder
	Versions map[string]string // package to version
	Cached   bool              // nothing had to be done

	tools map[string]string
}

// done is the marker written last: what was prepared, with which tools.
type done struct {
	Digest   string            `json:"digest"`
	Tools    map[string]string `json:"tools"` // name to path, size and time of change
	Versions map[string]string `json:"versions"`
	Seconds  float64           `json:"seconds"`
}

// Prepare copies the recipe's folder to cacheDir/<name>-<digest> and runs its
// steps there, unless that was done before with the same content and the same
// tools; all variants share it. A preparation that was interrupted is done again from
// nothing, and of two at once the second waits for the first. What the steps
// print goes to log and to prepare.log in the folder.
func Prepare(ctx context.Context, r *Recipe, cacheDir string, log io.Writer) (*Prepared, error) {
	p, err := prepare(ctx, r, cacheDir, log)
	if err != nil {
		return nil, fmt.Errorf("target: prepare %s: %w", r.Name, err)
	}
	return p, nil
}

func prepare(ctx context.Context, r *Recipe, cacheDir string, log io.Writer) (*Prepared, error) {
	tools, err := r.require(ctx)
	if err != nil {
		return nil, err
	}
	cacheDir, err = filepath.Abs(cacheDir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return nil, err
	}
	dir := filepath.Join(cacheDir, r.Name+"-"+r.digest[:12])
	unlock, err := lock(ctx, dir+".lock", log)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p := &Prepared{Recipe: r, Dir: dir, Digest: r.digest, tools: tools}
	if marker, err := readDone(dir); err == nil && marker.fits(r.digest, tools) {
		p.Versions, p.Cached = marker.Versions, true
		return p, nil
	}
	return p, p.build(ctx, log)
}

// build fills the folder from nothing and writes the marker.
func (p *Prepared) build(ctx context.Context, log io.Writer) error {
	began := time.Now()
	if err := os.RemoveAll(p.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.Dir, buildDir), 0o700); err != nil {
		return err
	}
	if err := copyTo(p.Recipe.files, filepath.Join(p.Dir, recipeDir)); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(p.Dir, prepareLog), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	both := io.MultiWriter(file, log)
	for _, s := range p.Recipe.spec.Prepare.Steps {
		if p.skips(s) {
			continue
		}
		argv := expandAll(s.Run, p.values())
		fmt.Fprintln(both, "$", shell.Line(argv))
		if err := p.run(ctx, argv, both, both); err != nil {
			return fmt.Errorf("%s: %w (log: %s)", filepath.Base(argv[0]), err, file.Name())
		}
	}
	if p.Versions, err = p.readVersions(ctx, both); err != nil {
		return fmt.Errorf("versions: %w", err)
	}
	return writeDone(p.Dir, done{
		Digest: p.Digest, Tools: stamps(p.tools), Versions: p.Versions, Seconds: time.Since(began).Seconds(),
	})
}

func (p *Prepared) skips(s step) bool {
	return s.If != "" && p.tools[s.If] == "" || s.Unless != "" && p.tools[s.Unless] != ""
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
		if tool := p.tools[n.Tool]; tool != "" {
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

func (p *Prepared) readVersions(ctx context.Context, log io.Writer) (map[string]string, error) {
	var out bytes.Buffer
	if err := p.run(ctx, expandAll(p.Recipe.spec.Versions, p.values()), &out, log); err != nil {
		return nil, err
	}
	var versions map[string]string
	if err := json.Unmarshal(out.Bytes(), &versions); err != nil {
		return nil, fmt.Errorf("is no JSON object of strings: %w", err)
	}
	if len(versions) == 0 {
		return nil, errors.New("names no package")
	}
	return versions, nil
}

// run runs one command of the preparation in the recipe's copy. It ends, with its
// process group, when ctx ends, and when this process dies.
func (p *Prepared) run(ctx context.Context, argv []string, stdout, stderr io.Writer) error {
	// The death signal is tied to the thread that starts the child: keep it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = filepath.Join(p.Dir, recipeDir)
	cmd.Env = p.prepareEnv()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = childAttributes()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
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

// stamps tells one build of a tool from another.
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
	temp, err := os.CreateTemp(dir, doneFile+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	_, err = temp.Write(append(data, '\n'))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), filepath.Join(dir, doneFile))
}

// lock takes the file lock at path, waiting for whoever holds it.
func lock(ctx context.Context, path string, log io.Writer) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for said := false; ; said = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !said {
			fmt.Fprintf(log, "waiting for another preparation, which holds %s\n", path)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
