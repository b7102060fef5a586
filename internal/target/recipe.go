package target

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/strictyaml"
)

// recipeFile is the name of a recipe in its folder.
const recipeFile = "target.yaml"

// Protocols of statements.
const (
	ProtocolText     = "text"     // the key is written into the statement
	ProtocolPrepared = "prepared" // the statement is prepared, and the key is its parameter
)

// Recipe is a checked recipe with one of its variants applied.
type Recipe struct {
	Name     string // of the folder
	Variant  string // empty: the recipe as it stands
	Server   string // empty: the recipe's own
	Title    string
	Language string
	Tags     []string
	Protocol string // of statements: ProtocolText or ProtocolPrepared
	// OverlapRequired: each worker must show two statements running at once
	// before it is called ready.
	OverlapRequired bool
	// Freezes: it may be held still while another target has its turn.
	Freezes bool
	// OwnAccount: where bakeoff is root it runs under an account that nobody else has, and no user either.
	OwnAccount bool

	spec    spec
	changed map[string]string // environment the plan sets, over the recipe's
	digest  string
	files   fs.FS
	// patience bounds one look at a tool.
	patience time.Duration
	// contents are the digests of the files, by name.
	contents map[string]string
}

// spec is target.yaml.
type spec struct {
	Name      string            `yaml:"name"`
	Title     string            `yaml:"title"`
	Language  string            `yaml:"language"`
	Tags      []string          `yaml:"tags"`
	Needs     []need            `yaml:"needs"`
	Prepare   prepareSpec       `yaml:"prepare"`
	Versions  []string          `yaml:"versions"`
	Start     []string          `yaml:"start"`
	Env       map[string]string `yaml:"env"`
	Processes string            `yaml:"processes"` // "workers", or a number in quotes
	Pool      poolSpec          `yaml:"pool"`
	Protocol  string            `yaml:"protocol"`
	KeepAlive string            `yaml:"keepalive"` // idle time-out of the server
	AccessLog accessLogSpec     `yaml:"access_log"`
	Overlap   string            `yaml:"overlap"` // "required" or "no"
	Freeze    string            `yaml:"freeze"`  // "on", the default, or "off": it cannot bear to be held still
	Ready     string            `yaml:"ready"`   // "line", the default, or "probe"
	Account   string            `yaml:"account"` // "own", the default, or "bakeoff": it cannot run under an account without a name
	// ReadyWithin bounds a start; 2m by default.
	ReadyWithin string             `yaml:"ready_within"`
	Settings    []settingSpec      `yaml:"settings"`
	Variants    map[string]variant `yaml:"variants"`
	// Servers are changes of what serves the program, each with any variant.
	Servers map[string]variant `yaml:"servers"`
}

// need is one thing a machine must have; exactly one of Tool, File, PkgConfig
// and Run is given.
type need struct {
	Tool      string   `yaml:"tool"`     // a command; {tool} stands for its path
	AnyOf     []string `yaml:"any_of"`   // names or paths tried in order; default: the tool's name
	Check     []string `yaml:"check"`    // arguments with which a candidate must exit 0
	Optional  bool     `yaml:"optional"` // for "if" and "unless" of steps
	File      string   `yaml:"file"`
	PkgConfig string   `yaml:"pkgconfig"`
	Run       []string `yaml:"run"` // a command that must exit 0
	What      string   `yaml:"what"`
	Package   string   `yaml:"package"` // Debian package
}

type prepareSpec struct {
	Inherit []string          `yaml:"inherit"` // the user's variables to pass on; a trailing * matches the rest
	Env     map[string]string `yaml:"env"`
	Steps   []prepareStep     `yaml:"steps"`
}

// prepareStep is one command of the preparation, run in the copy of the folder.
type prepareStep struct {
	Run    []string `yaml:"run"`
	If     string   `yaml:"if"`     // only when this optional tool is there
	Unless string   `yaml:"unless"` // only when it is not
	Inputs []string `yaml:"inputs"` // files and folders that it reads, as patterns; without it all of them
}

type poolSpec struct {
	Kind      string `yaml:"kind"`       // "bounded", or "per-request": one connection per request in flight
	Overflow  int    `yaml:"overflow"`   // connections per worker beyond the pool
	BoundedBy string `yaml:"bounded_by"` // per-request: the variable that, when not empty, bounds it to the pool
}

type accessLogSpec struct {
	Off switchSpec `yaml:"off"`
	On  switchSpec `yaml:"on"`
}

// switchSpec is what one position of a switch adds to the start.
type switchSpec struct {
	Args []string          `yaml:"args"`
	Env  map[string]string `yaml:"env"`
}

type settingSpec struct {
	Name    string `yaml:"name"`
	Value   string `yaml:"value"`
	Default string `yaml:"default"`
	Source  string `yaml:"source"`
}

// variant says what differs from the recipe; what it leaves out stays.
type variant struct {
	Title     string            `yaml:"title"`
	Tags      []string          `yaml:"tags"` // added
	Start     []string          `yaml:"start"`
	Env       map[string]string `yaml:"env"` // merged
	Processes string            `yaml:"processes"`
	Pool      poolSpec          `yaml:"pool"`
	Protocol  string            `yaml:"protocol"`
	KeepAlive string            `yaml:"keepalive"`
	Overlap   string            `yaml:"overlap"`
	Freeze    string            `yaml:"freeze"`
	Settings  []settingSpec     `yaml:"settings"` // replace those of the same name, else added
}

// List returns the names of all recipes in fsys, sorted.
func List(fsys fs.FS) ([]string, error) {
	found, err := fs.Glob(fsys, "*/"+recipeFile)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	names := make([]string, len(found))
	for i, file := range found {
		names[i] = path.Dir(file)
	}
	slices.Sort(names)
	return names, nil
}

// Load reads and checks fsys/<name>/target.yaml and applies a variant; an
// empty variant is the recipe as it stands. A mistake in the file is a
// strictyaml.Problems with everything that is wrong in it.
func Load(fsys fs.FS, name, variant string) (*Recipe, error) {
	if !nameRule.MatchString(name) {
		return nil, fmt.Errorf("target: %q is not the name of a target (small letters, digits and -, at most 63)", name)
	}
	sub, err := fs.Sub(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("target: %s: %w", name, err)
	}
	r, err := read(sub, path.Join("targets", name), name, variant)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	names, listErr := List(fsys)
	if listErr != nil {
		return nil, listErr
	}
	return nil, &UnknownError{What: "target", Key: "recipe", Name: name, Known: names}
}

// LoadFolder is Load for a folder anywhere. Its recipe may have another name than the folder.
func LoadFolder(dir, variant string) (*Recipe, error) {
	r, err := read(os.DirFS(dir), dir, "", variant)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("target: %s contains no %s: %w", dir, recipeFile, err)
	}
	return r, err
}

// read reads the recipe in the root of files; where is that in messages, and the
// recipe must have the given name unless that is empty.
func read(files fs.FS, where, name, variant string) (*Recipe, error) {
	data, err := strictyaml.ReadFS(files, recipeFile)
	if err != nil {
		return nil, err
	}
	doc, err := strictyaml.Parse(path.Join(where, recipeFile), data)
	if err != nil {
		return nil, err
	}
	digest, contents, err := digestOf(files)
	if err != nil {
		return nil, fmt.Errorf("target: %s: %w", where, err)
	}
	var s spec
	doc.Decode(&s)
	check(doc, name, &s, contents)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	if variant != "" {
		if s, err = s.with(variant); err != nil {
			return nil, err
		}
	}
	r := &Recipe{Variant: variant, spec: s, digest: digest, files: files, contents: contents, patience: checkTime}
	r.describe()
	return r, nil
}

// Asked stands for the recipe of what has no server: a client that asks the database itself, in that protocol, with as many
// connections as it has requests in flight.
func Asked(title, protocol string) *Recipe {
	return &Recipe{Name: "driver", Title: title, Protocol: protocol, spec: spec{Processes: "0", Pool: poolSpec{Kind: poolPerRequest}, KeepAlive: "0s"}}
}

// UnknownError is a name that is not among the known ones.
type UnknownError struct {
	What  string // such as "variant of django"
	Key   string // of a plan's target: "recipe", "variant", "server" or "settings.NAME"
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("target: unknown %s %q (%s)", e.What, e.Name, e.Hint())
}

// Hint is the known name that was probably intended, or all of them.
func (e *UnknownError) Hint() string {
	if hint := strictyaml.Suggest(e.Name, e.Known); hint != "" {
		return hint
	}
	return "known are " + strings.Join(e.Known, ", ")
}

// with returns s with a variant applied.
func (s spec) with(name string) (spec, error) {
	v, ok := s.Variants[name]
	if !ok {
		return s, &UnknownError{What: "variant of " + s.Name, Key: "variant", Name: name, Known: slices.Sorted(maps.Keys(s.Variants))}
	}
	return s.apply(v), nil
}

func (s spec) apply(v variant) spec {
	s.Env = merged(s.Env, v.Env)
	s.Tags = append(slices.Clone(s.Tags), v.Tags...)
	if v.Start != nil {
		s.Start = v.Start
	}
	if v.Pool != (poolSpec{}) {
		s.Pool = v.Pool
	}
	for _, text := range []struct {
		to   *string
		from string
	}{
		{&s.Title, v.Title},
		{&s.Processes, v.Processes},
		{&s.Protocol, v.Protocol},
		{&s.KeepAlive, v.KeepAlive},
		{&s.Overlap, v.Overlap},
		{&s.Freeze, v.Freeze},
	} {
		if text.from != "" {
			*text.to = text.from
		}
	}
	s.Settings = slices.Clone(s.Settings)
	for _, setting := range v.Settings {
		same := func(old settingSpec) bool { return old.Name == setting.Name }
		if i := slices.IndexFunc(s.Settings, same); i >= 0 {
			s.Settings[i] = setting
		} else {
			s.Settings = append(s.Settings, setting)
		}
	}
	return s
}

// On returns the recipe on another of its servers, over the variant; empty is its own.
func (r *Recipe) On(server string) (*Recipe, error) {
	if server == "" {
		return r, nil
	}
	change, known := r.spec.Servers[server]
	if !known {
		return nil, &UnknownError{What: "server of " + r.Name, Key: "server", Name: server, Known: slices.Sorted(maps.Keys(r.spec.Servers))}
	}
	on := *r
	on.spec, on.Server = r.spec.apply(change), server
	on.describe()
	return &on, nil
}

// describe fills in what follows from the recipe's spec.
func (r *Recipe) describe() {
	s := r.spec
	r.Name, r.Title, r.Language, r.Tags = s.Name, s.Title, s.Language, s.Tags
	r.Protocol, r.OverlapRequired, r.Freezes, r.OwnAccount = expand(s.Protocol, s.Env), s.Overlap == "required", s.Freeze != "off", s.Account != "bakeoff"
}

func merged(under, over map[string]string) map[string]string {
	both := maps.Clone(under)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, over)
	return both
}

// With returns the recipe with a plan's settings over its environment. A
// setting that the recipe's environment does not name is refused: it would
// change nothing.
func (r *Recipe) With(settings map[string]string) (*Recipe, error) {
	known := slices.Sorted(maps.Keys(r.spec.Env))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(known, name) {
			return nil, &UnknownError{What: "setting of " + r.Name, Key: "settings." + name, Name: name, Known: known}
		}
	}
	changed := *r
	changed.changed = merged(r.changed, settings)
	changed.Protocol = expand(r.spec.Protocol, changed.env())
	if changed.Protocol != ProtocolText && changed.Protocol != ProtocolPrepared {
		return nil, fmt.Errorf("target: %s: protocol %q is neither text nor prepared", r.Name, changed.Protocol)
	}
	_, err := changed.KeepAlive()
	return &changed, err
}

// Variants returns the names of the recipe's variants, sorted.
func (r *Recipe) Variants() []string { return slices.Sorted(maps.Keys(r.spec.Variants)) }

// Servers returns the names of the recipe's further servers, sorted.
func (r *Recipe) Servers() []string { return slices.Sorted(maps.Keys(r.spec.Servers)) }

// Files are the names of the files that the digest covers, sorted.
func (r *Recipe) Files() []string { return slices.Sorted(maps.Keys(r.contents)) }

// Digest is the SHA-256 of the recipe's folder in hexadecimal digits.
func (r *Recipe) Digest() string { return r.digest }

// Processes is how many serving processes a replica of that many workers has.
func (r *Recipe) Processes(workers int) int {
	if n, err := strconv.Atoi(r.spec.Processes); err == nil {
		return n
	}
	return workers
}

// Bounded reports whether a replica has a limit on its database connections
// that does not depend on the load.
func (r *Recipe) Bounded() bool {
	return r.spec.Pool.Kind == poolBounded || r.env()[r.spec.Pool.BoundedBy] != ""
}

// PerRequest reports whether a connection is opened for each request and closed after it, whether or not their number has a limit.
func (r *Recipe) PerRequest() bool { return r.spec.Pool.Kind == poolPerRequest }

// Connections is the greatest number of database connections of a replica
// with that many workers of so large a pool, and at most inFlight requests in it at once.
func (r *Recipe) Connections(workers, pool, inFlight int) int {
	if !r.Bounded() {
		return inFlight
	}
	return workers * (pool + r.spec.Pool.Overflow)
}

// KeepAlive is how long the server leaves an idle client connection open.
func (r *Recipe) KeepAlive() (time.Duration, error) {
	idle, err := time.ParseDuration(expand(r.spec.KeepAlive, r.env()))
	if err != nil {
		return 0, fmt.Errorf("target: %s: keepalive: %w", r.Name, err)
	}
	return idle, nil
}

// defaultReadyWithin is long: the slowest shipped target took 8 s on a loaded machine.
const defaultReadyWithin = 2 * time.Minute

// ReadyWithin is how long a replica may take until it is ready.
func (r *Recipe) ReadyWithin() time.Duration {
	if within, err := time.ParseDuration(r.spec.ReadyWithin); err == nil {
		return within
	}
	return defaultReadyWithin
}

// Probed says that the programs print no ready line: they are ready when /ping answers, and what such a
// line shows of workers, pools and protocol is only declared.
func (r *Recipe) Probed() bool { return r.spec.Ready == readyProbe }

// Settings returns where every value that is not the framework's default
// comes from, the plan's own settings last.
func (r *Recipe) Settings(workers, pool int) []record.Setting {
	numbers := map[string]string{"workers": strconv.Itoa(workers), "pool": strconv.Itoa(pool)}
	values := maps.Clone(numbers)
	for name, value := range r.env() {
		values[name] = expand(value, numbers)
	}
	out := make([]record.Setting, 0, len(r.spec.Settings)+len(r.changed)+1)
	if r.Probed() {
		out = append(out, record.Setting{
			Name: "readiness", Value: "by probe only: processes, pool and protocol are declared, not verified",
			Default: "a line of each serving process", Source: "the recipe: the program cannot print it",
		})
	}
	shown := map[string]bool{}
	for _, s := range r.spec.Settings {
		shown[s.Name] = true
		out = append(out, record.Setting{Name: s.Name, Value: expand(s.Value, values), Default: s.Default, Source: s.Source})
	}
	for _, name := range slices.Sorted(maps.Keys(r.changed)) {
		if !shown[name] {
			out = append(out, record.Setting{Name: name, Value: r.changed[name], Default: r.spec.Env[name], Source: "the plan"})
		}
	}
	return out
}

// env is the recipe's environment with the plan's settings over it; values
// of the recipe may still hold placeholders.
func (r *Recipe) env() map[string]string { return merged(r.spec.Env, r.changed) }

// placeholder is {name}; anything else in braces is left alone.
var placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_-]*)\}`)

// expand puts values in the place of placeholders; unknown ones stay.
func expand(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		if value, ok := values[found[1:len(found)-1]]; ok {
			return value
		}
		return found
	})
}

func expandAll(argv []string, values map[string]string) []string {
	out := make([]string, len(argv))
	for i, arg := range argv {
		out[i] = expand(arg, values)
	}
	return out
}
