package plan

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/show"
	"bakeoff/internal/strictyaml"
)

// AsItStands is the value of an axis for no variant, or no other server, at all.
const AsItStands = "none"

const (
	mostTargets = 100
	mostName    = 63
)

// axis is one thing that a sweep changes.
type axis struct {
	key    string // of the sweep, such as "workers" or "settings.CONN_MAX_AGE"
	values []string
	set    func(t *Target, i int) // gives a target the value number i
}

// axes are those of a sweep that have values, in the order in which they are part of names.
func (s Sweep) axes() []axis {
	out := []axis{
		{"variant", s.Variant, func(t *Target, i int) { t.Variant = unlessNone(s.Variant[i]) }},
		{"server", s.Server, func(t *Target, i int) { t.Server = unlessNone(s.Server[i]) }},
		{"workers", decimals(s.Workers), func(t *Target, i int) { t.Workers = s.Workers[i] }},
		{"pool", decimals(s.Pool), func(t *Target, i int) { t.Pool = s.Pool[i] }},
	}
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		out = append(out, axis{strictyaml.Join("settings", name), s.Settings[name], func(t *Target, i int) {
			t.Settings = maps.Clone(t.Settings)
			if t.Settings == nil {
				t.Settings = map[string]string{}
			}
			t.Settings[name] = s.Settings[name][i]
		}})
	}
	return slices.DeleteFunc(out, func(a axis) bool { return len(a.values) == 0 })
}

func decimals(ns []int) []string {
	out := make([]string, len(ns))
	for i, n := range ns {
		out[i] = strconv.Itoa(n)
	}
	return out
}

func unlessNone(name string) string {
	if name == AsItStands {
		return ""
	}
	return name
}

// points is how many targets the sweep stands for; a number above mostTargets only says that there are too many.
func (s Sweep) points() int {
	n := 1
	for _, a := range s.axes() {
		if n *= len(a.values); n > mostTargets {
			return n
		}
	}
	return n
}

// part is a value of an axis as a part of a name: "-asyncmy", "-w4", "-pool20", "-conn-max-age-60". A screen has 22 columns for a name.
func (a axis) part(i int) string {
	switch value := a.values[i]; a.key {
	case "variant", "server":
		if value == AsItStands {
			return ""
		}
		return "-" + value
	case "workers":
		return "-w" + value
	case "pool":
		return "-pool" + value
	default:
		name := a.key[strings.LastIndex(a.key, ".")+1:]
		return "-" + nameOf(name) + "-" + cmp.Or(strings.Trim(nameOf(value), "-"), "empty")
	}
}

// nameOf is a text with nothing in it but what names may have.
func nameOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
}

// settings are the targets that the target stands for: those of a sweep, the last axis changing first, or itself.
func (t Target) settings() []Target {
	axes := t.Sweep.axes()
	if len(axes) == 0 || t.Sweep.points() > mostTargets {
		return []Target{t}
	}
	t.SettingOf, t.Sweep = t.Name, Sweep{}
	out := []Target{t}
	for _, a := range axes {
		var next []Target
		for _, one := range out {
			for i := range a.values {
				point := one
				a.set(&point, i)
				point.Name += a.part(i)
				next = append(next, point)
			}
		}
		out = next
	}
	return out
}

// swept are the targets with the settings of each sweep in its place.
func (p *Plan) swept() []Target {
	var out []Target
	for _, t := range p.Targets {
		out = append(out, t.settings()...)
	}
	return out
}

// alone reports whether there is only one target, so that it may be a plan for bakeoff ab.
func (p *Plan) alone() bool { return len(p.swept()) == 1 }

var targetPath = regexp.MustCompile(`^targets\[(\d+)\]\.(.+)$`)

// unswept is where in the plan as it was given a path of the resolved one comes from.
func (p *Plan) unswept(path string) string {
	m := targetPath.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	at, err := strconv.Atoi(m[1])
	if err != nil {
		return path
	}
	for i, t := range p.Targets {
		n := len(t.settings())
		if at >= n {
			at -= n
			continue
		}
		return fmt.Sprintf("targets[%d].%s", i, t.Sweep.origin(m[2], at))
	}
	return path
}

// origin is where a key of the target number at of a sweep has its value from.
func (s Sweep) origin(key string, at int) string {
	for _, a := range slices.Backward(s.axes()) { // the last axis changes first
		if a.key == key {
			return fmt.Sprintf("sweep.%s[%d]", key, at%len(a.values))
		}
		at /= len(a.values)
	}
	return key
}

// sweep checks the axes of a target.
func (c *checker) sweep(path string, t Target) {
	if c.has(path + ".setting_of") {
		c.name(path+".setting_of", t.SettingOf)
	}
	at := path + ".sweep"
	if !c.has(at) || c.bad(at) {
		return
	}
	c.absent(path+".setting_of", "is given by the sweep")
	if c.has(path+".sweep.settings") && len(t.Sweep.Settings) == 0 && !c.bad(path+".sweep.settings") {
		c.report(path+".sweep.settings", "such as settings: {CONN_MAX_AGE: [\"0\", \"60\"]}", "names no setting")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Sweep.Settings)) {
		c.axis(path, axis{key: strictyaml.Join("settings", name), values: t.Sweep.Settings[name]})
		for i, value := range t.Sweep.Settings[name] {
			c.setting(fmt.Sprintf("%s[%d]", strictyaml.Join(at+".settings", name), i), name, value)
		}
	}
	c.axis(path, axis{key: "workers", values: decimals(t.Sweep.Workers)})
	c.axis(path, axis{key: "pool", values: decimals(t.Sweep.Pool)})
	c.axis(path, axis{key: "variant", values: t.Sweep.Variant})
	c.axis(path, axis{key: "server", values: t.Sweep.Server})
	c.axisValues(at, t.Sweep)
	if len(t.Sweep.axes()) == 0 {
		c.report(at, "such as sweep: {workers: [2, 4], pool: [5, 20]}", "has no axis")
	}
}

// axis checks that an axis has values, each once, and is not fixed as well.
func (c *checker) axis(path string, a axis) {
	at := path + ".sweep." + a.key
	if !c.has(at) || c.bad(at) {
		return
	}
	if c.has(path + "." + a.key) {
		c.report(path+"."+a.key, "remove one", "is an axis of the sweep already")
	}
	if len(a.values) == 0 {
		c.report(at, "leave the axis out", "has no values")
	}
	for i, value := range a.values {
		if first := slices.Index(a.values, value); first < i {
			c.report(fmt.Sprintf("%s[%d]", at, i), "remove one", "%s is there already", strictyaml.Quote(value))
		}
	}
}

// axisValues checks single values of axes.
func (c *checker) axisValues(at string, s Sweep) {
	for i, n := range s.Workers {
		c.integer(fmt.Sprintf("%s.workers[%d]", at, i), n, 1, 256)
	}
	for i, n := range s.Pool {
		c.integer(fmt.Sprintf("%s.pool[%d]", at, i), n, 1, 10_000)
	}
	for i, name := range s.Variant {
		c.name(fmt.Sprintf("%s.variant[%d]", at, i), name)
	}
	for i, name := range s.Server {
		c.name(fmt.Sprintf("%s.server[%d]", at, i), name)
	}
}

// points checks the names and the number of the targets that sweeps stand for.
func (c *checker) points() {
	var sum []string
	total, swept := 0, false
	for _, t := range c.plan.Targets {
		n := t.Sweep.points()
		total, swept = total+n, swept || len(t.Sweep.axes()) > 0
		sum = append(sum, fmt.Sprintf("%d of %s", n, t.Name))
	}
	if !swept {
		return
	}
	if total > mostTargets {
		c.report("targets", "fewer values", "sweeps make %s: more than %d targets", strings.Join(sum, " + "), mostTargets)
		return
	}
	first := map[string]bool{}
	for _, t := range c.plan.Targets {
		if len(t.Sweep.axes()) == 0 {
			first[t.Name] = true
		}
	}
	for i, t := range c.plan.Targets {
		if len(t.Sweep.axes()) > 0 {
			c.pointNames(fmt.Sprintf("targets[%d].sweep", i), t.settings(), first)
		}
	}
}

// pointNames checks the names of the targets of one sweep; taken are those that others have.
func (c *checker) pointNames(path string, points []Target, taken map[string]bool) {
	for _, t := range points {
		switch {
		case len(t.Name) > mostName:
			c.report(path, "give the target a shorter name", "makes a target with the name %s, which is longer than %d characters", strictyaml.Quote(t.Name), mostName)
			return
		case taken[t.Name]:
			c.report(path, "give one of them another name", "makes a second target with the name %s", strictyaml.Quote(t.Name))
			return
		}
		taken[t.Name] = true
	}
}

// budget checks the bounds within which targets may differ.
func (c *checker) budget() {
	if !c.has("budget") || c.plan.Running() {
		return
	}
	for _, of := range []struct {
		key     string
		n, most int
	}{{"connections", c.plan.Budget.Connections, 1_000_000}, {"workers", c.plan.Budget.Workers, 25_600}} {
		if path := "budget." + of.key; c.has(path) {
			c.integer(path, of.n, 1, of.most)
		} else {
			c.report(path, "such as budget: {connections: 80, workers: 4}", "is missing: a budget has both")
		}
	}
}

// A Group are the settings of one target, in the plan's order. A target without a sweep has one.
type Group struct {
	Name     string
	Settings []Target
}

// Groups are the targets of a resolved plan with all their settings.
func (p *Plan) Groups() []Group {
	var out []Group
	for _, t := range p.Ranked() {
		name := cmp.Or(t.SettingOf, t.Name)
		i := slices.IndexFunc(out, func(g Group) bool { return g.Name == name })
		if i < 0 {
			i, out = len(out), append(out, Group{Name: name})
		}
		out[i].Settings = append(out[i].Settings, t)
	}
	return out
}

// Swept reports whether a target has several settings.
func (p *Plan) Swept() bool { return len(p.Groups()) < len(p.Ranked()) }

// trait is one thing in which settings may differ, and what the plan gives a target that says nothing of it.
type trait struct {
	name  string
	of    func(Target) string
	usual string
	known bool // the usual value is: that of an environment variable is the recipe's
}

// differ are the traits that not all settings of a target share.
func (p *Plan) differ(g Group) []trait {
	all := []trait{
		{"replicas", func(t Target) string { return strconv.Itoa(p.Deployed(t).Replicas) }, strconv.Itoa(p.Deployment.Replicas), true},
		{"workers", func(t Target) string { return strconv.Itoa(p.Deployed(t).Workers) }, strconv.Itoa(p.Deployment.Workers), true},
		{"pool", func(t Target) string { return strconv.Itoa(p.Deployed(t).Pool) }, strconv.Itoa(p.Deployment.Pool), true},
		{"variant", func(t Target) string { return cmp.Or(t.Variant, AsItStands) }, AsItStands, true},
		{"server", func(t Target) string { return cmp.Or(t.Server, AsItStands) }, AsItStands, true},
	}
	env := map[string]bool{}
	for _, t := range g.Settings {
		for name := range t.Settings {
			env[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, trait{name: name, of: func(t Target) string { return t.Settings[name] }})
	}
	return slices.DeleteFunc(all, func(tr trait) bool {
		first := tr.of(g.Settings[0])
		return !slices.ContainsFunc(g.Settings, func(t Target) bool { return tr.of(t) != first })
	})
}

// Label says how a setting differs from the others of its target: "workers 4, pool 20".
func (p *Plan) Label(g Group, t Target) string {
	var parts []string
	for _, tr := range p.differ(g) {
		parts = append(parts, tr.name+" "+cmp.Or(tr.of(t), `""`))
	}
	return strings.Join(parts, ", ")
}

// Axes says what the settings of a target differ in: "workers 2, 4 or 7; pool 5 or 20".
func (p *Plan) Axes(g Group) string {
	var parts []string
	for _, tr := range p.differ(g) {
		var values []string
		for _, t := range g.Settings {
			if v := cmp.Or(tr.of(t), `""`); !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		parts = append(parts, tr.name+" "+strings.Join(values[:len(values)-1], ", ")+" or "+values[len(values)-1])
	}
	return strings.Join(parts, "; ")
}

// Default is the setting that the plan gives a target without a sweep: the numbers of the deployment, and the recipe as it stands;
// false where no setting is that, or it is not known to be.
func (p *Plan) Default(g Group) (Target, bool) {
	if i := slices.IndexFunc(g.Settings, func(t Target) bool { return t.Name == g.Name }); i >= 0 {
		return g.Settings[i], true
	}
	differ := p.differ(g)
	i := slices.IndexFunc(g.Settings, func(t Target) bool {
		return !slices.ContainsFunc(differ, func(tr trait) bool { return !tr.known || tr.of(t) != tr.usual })
	})
	if i < 0 {
		return Target{}, false
	}
	return g.Settings[i], true
}

// Sum says how long a run takes, and what that is the sum of.
func (p *Plan) Sum(o Overhead) string {
	block, whole := p.Block(o), p.Expected(o)
	before := whole - time.Duration(p.Blocks)*block
	return fmt.Sprintf("%s: %s before block 1 + %s of %s = %s", show.Plural(len(p.Targets), "target"), about(before), show.Plural(p.Blocks, "block"), about(block), about(whole))
}

// about is a duration to the second.
func about(d time.Duration) string { return Duration(d.Round(time.Second)).String() }
