package target

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/google/renameio/v2"
)

// After an edit the leading steps whose inputs are unchanged are kept. A step
// that declares its inputs runs while the copy of the folder holds these and those of the
// steps before it, and nothing else: one that reads what it does not declare fails. What
// the folder holds after such a step is noted, file by file. A step is kept when its
// command, the tools, its inputs and all steps before it are as they were, and the folder still
// holds what it held then; everything that came later is removed first. So what is in the
// folder is what a preparation from nothing would have made.

// stepsDir holds what the folder held after each step that may be kept.
const stepsDir = "steps"

// chained is one step with all that its result depends on.
type chained struct {
	argv     []string // with placeholders
	inputs   []string // files of the recipe's folder; all of them where none are declared
	key      string   // differs when anything up to this step does
	keepable bool     // it and all before it declare their inputs
}

// steps are the steps that this machine's tools call for.
func (p *Prepared) steps() []chained {
	var out []chained
	key, keepable := "", true
	for _, s := range p.Recipe.spec.Prepare.Steps {
		if s.If != "" && p.tools[s.If] == "" || s.Unless != "" && p.tools[s.Unless] != "" {
			continue
		}
		inputs := p.Recipe.inputsOf(s)
		keepable = keepable && s.Inputs != nil
		key = p.stepKey(key, s, inputs)
		out = append(out, chained{argv: s.Run, inputs: inputs, key: key, keepable: keepable})
	}
	return out
}

func (p *Prepared) stepKey(before string, s prepareStep, inputs []string) string {
	contents := map[string]string{}
	for _, name := range inputs {
		contents[name] = p.Recipe.contents[name]
	}
	data, err := json.Marshal([]any{before, s.Run, p.Recipe.spec.Prepare.Env, stamps(p.tools), contents})
	if err != nil {
		panic(fmt.Sprintf("target: strings have no JSON: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// inputsOf are the files that a step may read.
func (r *Recipe) inputsOf(s prepareStep) []string {
	if s.Inputs == nil {
		return r.Files()
	}
	return slices.DeleteFunc(r.Files(), func(name string) bool {
		return !slices.ContainsFunc(s.Inputs, func(pattern string) bool { return covers(pattern, name) })
	})
}

// covers reports whether a pattern names a file, or a folder around it.
func covers(pattern, name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// noted is what the folder held after a step.
type noted struct {
	Key   string            `json:"key"`
	Files map[string]string `json:"files"` // path to mode, and of what is no folder size and time of change
}

func (p *Prepared) noteFile(step int) string {
	return filepath.Join(p.Dir, stepsDir, strconv.Itoa(step)+".json")
}

func (p *Prepared) noteStep(i int, s chained) error {
	files, err := p.look()
	if err != nil {
		return err
	}
	data, err := json.Marshal(noted{Key: s.key, Files: files})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.Dir, stepsDir), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(p.noteFile(i), data, 0o600)
}

func (p *Prepared) note(i int) (noted, error) {
	var n noted
	data, err := os.ReadFile(p.noteFile(i))
	if err != nil {
		return n, err
	}
	return n, json.Unmarshal(data, &n)
}

// look lists what the copy of the folder and the build hold.
func (p *Prepared) look() (map[string]string, error) {
	found := map[string]string{}
	for _, top := range []string{recipeDir, buildDir} {
		err := filepath.WalkDir(filepath.Join(p.Dir, top), func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(p.Dir, name)
			if err != nil {
				return err
			}
			found[relative] = info.Mode().String()
			if !info.IsDir() {
				found[relative] += fmt.Sprintf(" %d %d", info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// keepable is how many leading steps can be kept of what the folder holds.
func (p *Prepared) keepable() int {
	keep := 0
	var last noted
	for i, s := range p.steps() {
		n, err := p.note(i)
		if err != nil || !s.keepable || n.Key != s.key {
			break
		}
		keep, last = i+1, n
	}
	if keep == 0 {
		return 0
	}
	found, err := p.look()
	if err != nil {
		return 0
	}
	for name, was := range last.Files {
		if found[name] != was {
			return 0
		}
	}
	return keep
}

// restore brings the folder back to what it was after that many steps.
func (p *Prepared) restore(keep int) error {
	for _, name := range []string{doneFile, prepareLog, stepLog} {
		if err := os.RemoveAll(filepath.Join(p.Dir, name)); err != nil {
			return err
		}
	}
	if keep > 0 {
		return p.removeLater(keep)
	}
	for _, name := range []string{stepsDir, recipeDir, buildDir} {
		if err := os.RemoveAll(filepath.Join(p.Dir, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{recipeDir, buildDir} {
		if err := os.MkdirAll(filepath.Join(p.Dir, name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// removeLater removes what came after that many steps, and the notes of the later ones.
func (p *Prepared) removeLater(keep int) error {
	last, err := p.note(keep - 1)
	if err != nil {
		return err
	}
	found, err := p.look()
	if err != nil {
		return err
	}
	for name := range found {
		if _, was := last.Files[name]; !was {
			if err := os.RemoveAll(filepath.Join(p.Dir, name)); err != nil {
				return err
			}
		}
	}
	for i := keep; i < len(p.Recipe.spec.Prepare.Steps); i++ {
		if err := os.RemoveAll(p.noteFile(i)); err != nil {
			return err
		}
	}
	return nil
}

func (s chained) markInputs(copied map[string]bool) {
	for _, name := range s.inputs {
		copied[name] = true
	}
}

// copyInputs writes files of the recipe's folder, for the user alone, that are not there yet.
func (p *Prepared) copyInputs(names []string, copied map[string]bool) error {
	for _, name := range names {
		if copied[name] {
			continue
		}
		copied[name] = true
		data, err := fs.ReadFile(p.Recipe.files, name)
		if err != nil {
			return err
		}
		to := filepath.Join(p.Dir, recipeDir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
