package target

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/strictyaml"
)

// Kinds of pools.
const (
	poolBounded    = "bounded"
	poolPerRequest = "per-request"
)

// How a replica says that it is ready.
const (
	readyLine  = "line"  // each serving process prints one
	readyProbe = "probe" // /ping answers
)

var (
	nameRule = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	toolRule = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	envRule  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// contractNames are the variables every target is given; a recipe may use
// them but not set them.
func contractNames() []string {
	return []string{
		"DATABASE_HOST", "DATABASE_PORT", "DATABASE_SOCKET", "DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_NAME",
		"DATABASE_POOL", "WORKERS", "PORT", "HOST", "BAKEOFF_NONCE", "BAKEOFF_ACCESS_LOG",
	}
}

// Placeholders known while preparing and, in addition to these, at the start.
func prepareNames() []string { return []string{"recipe", "build"} }

func startNames() []string {
	return append(prepareNames(), "name", "host", "port", "workers", "pool")
}

// checker collects what is wrong with a recipe.
type checker struct {
	doc      *strictyaml.Document
	tools    []string // that are there once the recipe is prepared
	optional []string // that may be there
	files    map[string]string
}

// check adds every mistake in s to doc; folder is the name that the recipe must have, or empty.
func check(doc *strictyaml.Document, folder string, s *spec, files map[string]string) {
	c := &checker{doc: doc, files: files}
	c.required("name", s.Name)
	switch {
	case s.Name == "":
	case folder != "" && s.Name != folder:
		doc.Errorf("name", "write "+folder, "must be the name of the folder, %q", folder)
	case !nameRule.MatchString(s.Name):
		doc.Errorf("name", "", "a target's name has small letters, digits and -, at most 63")
	}
	c.required("title", s.Title)
	c.required("language", s.Language)
	c.needs(s.Needs)
	c.prepare(s.Prepare)
	c.argv("versions", s.Versions, prepareNames())
	c.variable(s, "")
	c.ready(s)
	c.accessLog("access_log.off", s.AccessLog.Off, s.Env)
	c.accessLog("access_log.on", s.AccessLog.On, s.Env)
	c.settings("settings", s.Settings, s.Env)
	c.changes("variants", "variant", s, s.Variants)
	c.changes("servers", "server", s, s.Servers)
}

// changes checks what of a recipe is changed by each of several names.
func (c *checker) changes(key, one string, s *spec, changes map[string]variant) {
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		at := key + "." + name
		if !nameRule.MatchString(name) || name == asItStands {
			c.doc.Errorf(at, "", "a %s's name has small letters, digits and -, at most 63, and is not %s", one, asItStands)
		}
		changed := s.apply(changes[name])
		c.variable(&changed, at)
		c.settings(at+".settings", changes[name].Settings, changed.Env)
	}
}

// asItStands is what a sweep calls the recipe without a variant, or on its own server.
const asItStands = "none"

func (c *checker) required(path, value string) {
	if value == "" {
		c.doc.Errorf(path, "", "is missing")
	}
}

func (c *checker) oneOf(path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	c.doc.Errorf(path, strictyaml.Suggest(value, allowed), "must be one of %s, but is %q", strings.Join(allowed, ", "), value)
}

// variable checks the parts of s that a variant may change; at is the path
// of the variant, or empty. Of a variant only what it gives is looked at.
func (c *checker) variable(s *spec, at string) {
	in := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	gives := func(key string) bool { return at == "" || c.doc.Has(in(key)) }
	names := append(startNames(), slices.Sorted(maps.Keys(s.Env))...)
	if gives("env") {
		c.env(in("env"), s.Env, startNames())
	}
	if gives("start") {
		c.argv(in("start"), s.Start, names)
	}
	if gives("processes") {
		c.processes(in("processes"), s.Processes)
	}
	if gives("pool") {
		c.pool(in("pool"), s)
	}
	if gives("protocol") || gives("env") {
		c.oneOf(in("protocol"), expand(s.Protocol, s.Env), ProtocolText, ProtocolPrepared)
	}
	if gives("freeze") && s.Freeze != "" {
		c.oneOf(in("freeze"), s.Freeze, "on", "off")
	}
	if gives("overlap") && s.Overlap != "" {
		c.oneOf(in("overlap"), s.Overlap, "required", "no")
	}
	if gives("keepalive") || gives("env") {
		c.keepAlive(in("keepalive"), expand(s.KeepAlive, s.Env))
	}
}

func (c *checker) env(path string, env map[string]string, names []string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		at := path + "." + name
		switch {
		case !envRule.MatchString(name):
			c.doc.Errorf(at, "", "is not the name of an environment variable")
		case slices.Contains(contractNames(), name):
			c.doc.Errorf(at, "take it out", "bakeoff sets %s itself", name)
		}
		c.placeholders(at, env[name], names)
	}
}

// argv checks a command that must be given.
func (c *checker) argv(path string, argv, names []string) {
	if len(argv) == 0 {
		c.doc.Errorf(path, "", "is missing: give a command as a list")
		return
	}
	c.args(path, argv, names)
}

func (c *checker) args(path string, argv, names []string) {
	for i, arg := range argv {
		c.placeholders(fmt.Sprintf("%s[%d]", path, i), arg, names)
	}
}

func (c *checker) placeholders(path, text string, names []string) {
	known := append(slices.Clone(names), c.tools...)
	for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, found[1]) {
			c.doc.Errorf(path, strictyaml.Suggest(found[1], known), "unknown placeholder {%s}", found[1])
		}
	}
}

func (c *checker) processes(path, value string) {
	if value == "workers" {
		return
	}
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 1024 {
		c.doc.Errorf(path, "", `must be workers, or a number from 1 to 1024 in quotes, but is %q`, value)
	}
}

func (c *checker) pool(path string, s *spec) {
	c.oneOf(path+".kind", s.Pool.Kind, poolBounded, poolPerRequest)
	if s.Pool.Overflow < 0 || s.Pool.Overflow > 10_000 {
		c.doc.Errorf(path+".overflow", "", "must be from 0 to 10000, but is %d", s.Pool.Overflow)
	}
	by := s.Pool.BoundedBy
	if by == "" {
		return
	}
	if s.Pool.Kind == poolBounded {
		c.doc.Errorf(path+".bounded_by", "take it out", "a bounded pool needs no bound")
	}
	if _, ok := s.Env[by]; !ok {
		known := slices.Sorted(maps.Keys(s.Env))
		c.doc.Errorf(path+".bounded_by", strictyaml.Suggest(by, known), "env has no %q", by)
	}
}

func (c *checker) keepAlive(path, value string) {
	if idle, err := time.ParseDuration(value); err != nil || idle <= 0 {
		c.doc.Errorf(path, "write 75s", "must be a duration above zero, but is %q", value)
	}
}

func (c *checker) ready(s *spec) {
	if c.doc.Has("account") {
		c.oneOf("account", s.Account, "own", "bakeoff")
	}
	if c.doc.Has("ready") {
		c.oneOf("ready", s.Ready, readyLine, readyProbe)
	}
	if s.Ready == readyProbe && s.Overlap == "required" {
		c.doc.Errorf("ready", "", "overlap: required needs the ready line, which contains the proof")
	}
	if within, err := time.ParseDuration(s.ReadyWithin); c.doc.Has("ready_within") && (err != nil || within < time.Second || within > time.Hour) {
		c.doc.Errorf("ready_within", "such as 5m", "must be from 1s to 1h, but is %q", s.ReadyWithin)
	}
}

func (c *checker) accessLog(path string, position switchSpec, env map[string]string) {
	names := append(startNames(), slices.Sorted(maps.Keys(env))...)
	c.args(path+".args", position.Args, names)
	c.env(path+".env", position.Env, names)
}

func (c *checker) settings(path string, settings []settingSpec, env map[string]string) {
	names := append([]string{"workers", "pool"}, slices.Sorted(maps.Keys(env))...)
	seen := map[string]bool{}
	for i, s := range settings {
		at := fmt.Sprintf("%s[%d]", path, i)
		c.required(at+".name", s.Name)
		c.required(at+".source", s.Source)
		c.placeholders(at+".value", s.Value, names)
		if seen[s.Name] {
			c.doc.Errorf(at+".name", "", "%q is listed twice", s.Name)
		}
		seen[s.Name] = true
	}
}

func (c *checker) needs(needs []need) {
	for i, n := range needs {
		at := fmt.Sprintf("needs[%d]", i)
		kinds := 0
		for _, given := range []bool{n.Tool != "", n.File != "", n.PkgConfig != "", n.Run != nil} {
			if given {
				kinds++
			}
		}
		if kinds != 1 {
			c.doc.Errorf(at, "", "give exactly one of tool, file, pkgconfig and run")
		}
		if !n.Optional {
			c.required(at+".package", n.Package)
		}
		if n.Tool != "" {
			c.tool(at, n)
		} else if n.AnyOf != nil || n.Check != nil || n.Optional {
			c.doc.Errorf(at, "", "any_of, check and optional belong to a tool")
		}
		if n.Run != nil {
			c.argv(at+".run", n.Run, nil)
			c.required(at+".what", n.What)
		}
	}
}

func (c *checker) tool(at string, n need) {
	switch {
	case !toolRule.MatchString(n.Tool):
		c.doc.Errorf(at+".tool", "", "a tool's name has small letters, digits and -")
	case slices.Contains(slices.Concat(c.tools, c.optional, startNames()), n.Tool):
		c.doc.Errorf(at+".tool", "", "the name %q is taken", n.Tool)
	}
	for i, candidate := range n.AnyOf {
		if candidate == "" || filepath.Base(candidate) != candidate && !filepath.IsAbs(candidate) {
			c.doc.Errorf(fmt.Sprintf("%s.any_of[%d]", at, i), "", "must be a command's name or an absolute path")
		}
	}
	if n.Optional {
		c.optional = append(c.optional, n.Tool)
	} else {
		c.tools = append(c.tools, n.Tool)
	}
}

func (c *checker) prepare(p prepareSpec) {
	for i, name := range p.Inherit {
		if !envRule.MatchString(strings.TrimSuffix(name, "*")) {
			c.doc.Errorf(fmt.Sprintf("prepare.inherit[%d]", i), "", "%q is not the name of an environment variable", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		if !envRule.MatchString(name) {
			c.doc.Errorf("prepare.env."+name, "", "is not the name of an environment variable")
		}
		c.placeholders("prepare.env."+name, p.Env[name], prepareNames())
	}
	for i, s := range p.Steps {
		at := fmt.Sprintf("prepare.steps[%d]", i)
		names := prepareNames()
		if slices.Contains(c.optional, s.If) {
			names = append(names, s.If)
		}
		c.argv(at+".run", s.Run, names)
		for j, pattern := range s.Inputs {
			c.input(fmt.Sprintf("%s.inputs[%d]", at, j), pattern)
		}
		for key, tool := range map[string]string{"if": s.If, "unless": s.Unless} {
			if tool != "" && !slices.Contains(c.optional, tool) {
				c.doc.Errorf(at+"."+key, strictyaml.Suggest(tool, c.optional), "%q is not an optional tool of needs", tool)
			}
		}
	}
}

// input wants a pattern that names something.
func (c *checker) input(at, pattern string) {
	if _, err := path.Match(pattern, ""); err != nil {
		c.doc.Errorf(at, "", "%q is not a pattern", pattern)
		return
	}
	for name := range c.files {
		if covers(pattern, name) {
			return
		}
	}
	c.doc.Errorf(at, strictyaml.Suggest(pattern, slices.Sorted(maps.Keys(c.files))), "the folder contains nothing named %q", pattern)
}
