package plan

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bakeoff/internal/consent"
	"bakeoff/internal/strictyaml"
)

const (
	second     = time.Second
	mostAgents = 64
)

// Primary metrics.
const (
	Throughput = "throughput"  // closed model: answers per second
	P99AtRate  = "p99 at rate" // open model: 99th percentile of the response time
	Capacity   = "capacity"    // open model: the highest rate that meets the objective
)

// checker looks at every value of a plan and reports what cannot be.
type checker struct {
	plan   *Plan
	has    func(path string) bool // given in the file
	bad    func(path string) bool // given, but not decodable: the value means nothing
	report func(path, hint, format string, args ...any)
}

func (c *checker) check() {
	p := c.plan
	c.name("name", p.Name)
	c.integer("blocks", p.Blocks, 1, 1000)
	c.delta("delta", p.Delta)
	c.prose("description", p.Description)
	c.around()
	c.agents()
	c.targets()
	c.budget()
	c.warmup()
	c.pilot()
	c.turns()
	c.phases()
	c.primary()
	c.objective()
	c.thresholds()
	c.jmeters()
	c.trust()
	c.collect()
	c.kubernetes()
	c.consent()
	c.prose("allow_unfair", p.AllowUnfair)
	if c.has("allow_unfair") && utf8.RuneCountInString(strings.TrimSpace(p.AllowUnfair)) < 10 {
		c.report("allow_unfair", "", "must be a reason of at least 10 characters: every report shows it")
	}
}

func (c *checker) agents() {
	a := c.plan.Agents
	c.word("agents.engine", a.Engine, Native, HTTP, JMeter)
	c.integer("agents.count", a.Count, 1, mostAgents)
	switch {
	case !a.HTTP2:
	case !c.plan.Running():
		c.report("agents.http2", "", "is for kind: url; the balancer of recipes speaks HTTP/1.1")
	case a.Engine != HTTP && !c.bad("agents.engine"):
		c.report("agents.http2", "add engine: http", "HTTP/2 needs agents.engine http: the %s engine speaks HTTP/1.1", a.Engine)
	}
}

// leastSettling is the shortest warm-up that can end when it is steady: its windows would be too short else.
const leastSettling = 500 * time.Millisecond

func (c *checker) warmup() {
	w := c.plan.Warmup
	if w.Least == w.Most {
		c.duration("warmup", w.Least, 0, time.Hour)
		return
	}
	c.duration("warmup", w.Least, leastSettling, time.Hour)
	c.duration("warmup", w.Most, leastSettling, time.Hour)
	switch {
	case c.bad("warmup"):
	case w.Most < w.Least:
		c.report("warmup", fmt.Sprintf("write %s to %s", w.Most, w.Least), "ends before it begins: %s", w)
	case len(c.plan.Phases) > 0 && c.plan.EngineOf(c.plan.Phases[0]) != Native && !c.bad("agents.engine"):
		c.report("warmup", "write one duration, or agents.engine: native", "ends when steady, which needs agents.engine native: the %s engine cannot pause a phase", c.plan.EngineOf(c.plan.Phases[0]))
	}
}

// turns are too short where a slice would be nothing but its run-in.
func (c *checker) turns() {
	t := c.plan.Turns
	if t == 0 {
		if c.plan.KeepConnections {
			c.report("keep_connections", "leave it out, or write turns: 250ms", "needs turns: without them connections are always kept")
		}
		return
	}
	c.duration("turns", Duration(t), 100*time.Millisecond, 10*time.Second)
	if c.plan.Uses(HTTP) {
		c.report("turns", "leave it out, or agents.engine: native", "needs agents.engine native: the http engine cannot pause a phase")
	}
}

func (c *checker) dataset() {
	d := c.plan.Dataset
	c.integer("dataset.rows", d.Rows, 1, mostOfAnyLength)
	c.integer("dataset.lengths.min", d.Lengths.Min, 1, 255)
	c.integer("dataset.lengths.max", d.Lengths.Max, 1, 255)
	switch most := mostRows(d.Lengths.Max); {
	case d.Lengths.Min > d.Lengths.Max:
		c.report("dataset.lengths", "", "min %d is above max %d", d.Lengths.Min, d.Lengths.Max)
	case most < mostOfAnyLength && d.Rows > most && d.Lengths.Max > 0:
		c.report("dataset.rows", "", "must be at most %d with names of at most %d characters, so that names are left that do not exist, but is %d", most, d.Lengths.Max, d.Rows)
	}
	c.number("dataset.hit_ratio", d.HitRatio, 0, 1)
	c.word("dataset.lookups", d.Lookups, "client", "server")
}

// mostOfAnyLength is how many rows there may be.
const mostOfAnyLength = 100_000_000

// mostRows is dataset.MostRows: half as many as there are names of letters and digits of that length, whose case does not count.
func mostRows(length int) int {
	names := 1
	for range length {
		if names *= 36; names >= 2*mostOfAnyLength {
			return mostOfAnyLength
		}
	}
	return names / 2
}

var (
	sizeText     = regexp.MustCompile(`^[1-9][0-9]{0,8}[KMG]$`)
	variableText = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	settingText  = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	dsnText      = regexp.MustCompile(`@(tcp|unix)?\(`)
	nameText     = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
)

func (c *checker) database() {
	d := c.plan.Database
	c.word("database.kind", d.Kind, "private", "external")
	if d.Kind == "external" {
		for _, key := range []string{"server", "max_connections", "buffer_pool", "settings"} {
			c.absent("database."+key, "is for a private database; an external one is taken as it is")
		}
		if d.DSNFile == "" {
			c.report("database.dsn_file", "a file of mode 0600 holding user:password@tcp(host:port)/name", "an external database needs a dsn_file")
			return
		}
		c.path("database.dsn_file", d.DSNFile)
		return
	}
	c.absent("database.dsn_file", "is for kind: external")
	if c.has("database.server") {
		c.server(d.Server)
	}
	if d.MaxConnections != 0 {
		c.integer("database.max_connections", d.MaxConnections, 10, 100_000)
	}
	if c.has("database.buffer_pool") && !sizeText.MatchString(d.BufferPool) {
		c.report("database.buffer_pool", "such as 512M", "%s is not a size", strictyaml.Quote(d.BufferPool))
	}
	for _, key := range sortedKeys(d.Settings) {
		c.variable(strictyaml.Join("database.settings", key), key, d.Settings[key])
	}
}

func (c *checker) server(server string) {
	known := []string{"mariadb", "mysql"}
	switch {
	case slices.Contains(known, server):
	case strings.HasPrefix(server, "/"):
		c.path("database.server", server)
	default:
		c.report("database.server", strictyaml.Suggest(server, known), "must be mariadb, mysql or the absolute path of a server program, but is %s", strictyaml.Quote(server))
	}
}

// ownVariables are server variables and options that bakeoff sets itself, with the key that sets them, if any: those that
// package database refuses, and more.
var ownVariables = map[string]string{
	"max_connections": "database.max_connections", "innodb_buffer_pool_size": "database.buffer_pool",
	"datadir": "", "basedir": "", "tmpdir": "", "socket": "", "port": "", "bind_address": "", "user": "", "pid_file": "",
	"log_error": "", "general_log_file": "", "slow_query_log_file": "", "skip_networking": "", "skip_grant_tables": "", "secure_file_priv": "",
	"init_file": "", "init_connect": "", "plugin_dir": "", "plugin_load": "", "plugin_load_add": "",
	"general_log": "", "slow_query_log": "", "skip_name_resolve": "", "collation_server": "", "character_set_server": "",
	"defaults_file": "", "innodb_data_home_dir": "", "innodb_log_group_home_dir": "", "lc_messages_dir": "",
	"chroot": "", "help": "", "bootstrap": "", "initialize": "",
}

// ownVariable finds the variable of bakeoff's own that a server takes a name for: servers take any beginning of an option's
// name that is clear, and put "loose", "skip", "enable", "disable" and "maximum" before it.
func ownVariable(name string) (key, own string) {
	bare := bareOption(name)
	for _, known := range slices.Sorted(maps.Keys(ownVariables)) {
		if name == known || strings.HasPrefix(bareOption(known), bare) || strings.HasPrefix(known, name) {
			return ownVariables[known], known
		}
	}
	return "", ""
}

// bareOption is an option's name without what servers allow before it.
func bareOption(name string) string {
	for again := true; again; {
		again = false
		for _, word := range []string{"loose_", "skip_", "enable_", "disable_", "maximum_"} {
			if rest, ok := strings.CutPrefix(name, word); ok && rest != "" {
				name, again = rest, true
			}
		}
	}
	return name
}

func (c *checker) variable(path, name, value string) {
	switch key, own := ownVariable(name); {
	case !variableText.MatchString(name):
		c.report(path, "", "%s is not the name of a server variable (a-z, 0-9 and _)", strictyaml.Quote(name))
	case own != "" && key != "":
		c.report(path, "set "+key, "is set by a key of its own")
	case own != "" && own != name:
		c.report(path, "", "means %s, which bakeoff itself sets", own)
	case own != "":
		c.report(path, "", "is set by bakeoff itself")
	case strings.ContainsFunc(value, control) || len(value) > 1000:
		c.report(path, "", "value has control characters or more than 1000 bytes")
	}
}

// url checks what holds for every URL and reports whether it does.
func (c *checker) url(path, text string) bool {
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(text, control):
		c.report(path, "such as http://127.0.0.1:8080", "is not a URL") // not quoted: it may hold a password
	case u.Scheme != "http" && u.Scheme != "https":
		c.report(path, "such as http://127.0.0.1:8080", "must begin with http:// or https://")
	case u.Hostname() == "":
		c.report(path, "such as http://127.0.0.1:8080", "has no host")
	case u.Port() != "" && !isPort(u.Port()):
		c.report(path, "", "the port must be 1 to 65535")
	case u.User != nil:
		c.report(path, "", "must not hold a user or password")
	default:
		return true
	}
	return false
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// settingsOfContract are given to every target by bakeoff, with the plan's key that sets them, if any.
var settingsOfContract = map[string]string{
	"DATABASE_HOST": "", "DATABASE_PORT": "", "DATABASE_SOCKET": "", "DATABASE_USER": "", "DATABASE_PASSWORD": "", "DATABASE_NAME": "",
	"DATABASE_POOL": "pool", "WORKERS": "workers", "PORT": "", "HOST": "",
}

func (c *checker) targets() {
	p := c.plan
	if len(p.Targets) == 0 {
		c.report("targets", "such as targets: [django, flask]", "a plan needs at least one target")
	}
	if len(p.Targets) > 100 {
		c.report("targets", "", "%d targets are more than 100", len(p.Targets))
	}
	first := map[string]int{}
	for i, t := range p.Targets {
		path := fmt.Sprintf("targets[%d]", i)
		c.kind(path, i, t)
		if j, seen := first[t.Name]; seen && t.Name != "" {
			c.report(path+".name", "give one of them another name", "%s is the name of targets[%d] already", strictyaml.Quote(t.Name), j)
			continue
		}
		first[t.Name] = i
	}
	c.points()
}

func (c *checker) target(path string, t Target) {
	if c.has(path + ".url") {
		c.report(path+".url", "add kind: url", "is for kind: url")
		if t.Recipe == "" {
			return // which says all that is wrong
		}
	}
	c.absent(path+".expect", "is for kind: url")
	c.absent(path+".tls", "is for kind: url")
	if t.Recipe == "" && !c.has(path+".recipe") {
		c.report(path+".recipe", "a folder in targets/, such as django, or ./folder", "a target needs a recipe")
	} else {
		c.recipe(path, t)
	}
	if c.has(path + ".variant") {
		c.name(path+".variant", t.Variant)
	}
	if c.has(path + ".server") {
		c.name(path+".server", t.Server)
	}
	c.sweep(path, t)
	c.override(path+".replicas", t.Replicas, 100)
	c.override(path+".workers", t.Workers, 256)
	c.override(path+".pool", t.Pool, 10_000)
	for _, key := range sortedKeys(t.Settings) {
		c.setting(strictyaml.Join(path+".settings", key), key, t.Settings[key])
	}
}

// recipe checks where a target comes from, and the name that follows from it.
func (c *checker) recipe(path string, t Target) {
	switch {
	case !t.Folder():
		c.name(path+".recipe", t.Recipe)
	case strings.ContainsFunc(t.Recipe, control) || len(t.Recipe) > 4096:
		c.report(path+".recipe", "", "path has control characters or more than 4096 bytes")
		return
	case !c.has(path+".name") && !nameText.MatchString(t.Name):
		c.report(path+".recipe", "add a name to the target", "the folder's name %s is not the name of a target", strictyaml.Quote(t.Name))
	}
	if c.has(path + ".name") {
		c.name(path+".name", t.Name)
	}
}

func (c *checker) setting(path, name, value string) {
	switch key, own := settingsOfContract[name]; {
	case !settingText.MatchString(name):
		c.report(path, "", "%s is not the name of a setting (A-Z, 0-9 and _)", strictyaml.Quote(name))
	case own && key != "":
		c.report(path, "set the target's "+key, "is set by a key of its own")
	case own || strings.HasPrefix(name, "BAKEOFF_"):
		c.report(path, "", "is set by bakeoff itself")
	case name == "PATH" || strings.HasPrefix(name, "LD_"):
		c.report(path, "", "would change which program runs, not how")
	case strings.ContainsRune(value, 0) || len(value) > 10_000:
		c.report(path, "", "value has a NUL or more than 10000 bytes")
	}
}

func (c *checker) pilot() {
	if c.plan.Pilot != 0 {
		c.duration("pilot", c.plan.Pilot, 500*time.Millisecond, time.Hour)
	}
	for i, ph := range c.plan.Phases {
		if ph.RateOfPilot != 0 && c.plan.Pilot == 0 && !c.bad("pilot") {
			c.report(fmt.Sprintf("phases[%d].rate_of_pilot", i), "add pilot: 3s", "needs a pilot")
		}
	}
}

func (c *checker) phases() {
	p := c.plan
	if len(p.Phases) == 0 {
		c.report("phases", "", "a plan needs at least one phase")
	}
	if len(p.Phases) > 100 {
		c.report("phases", "", "%d phases are more than 100", len(p.Phases))
	}
	first := map[string]int{}
	for i, ph := range p.Phases {
		path := fmt.Sprintf("phases[%d]", i)
		c.phase(path, ph)
		if j, seen := first[ph.Name]; seen && ph.Name != "" {
			c.report(path+".name", "give one of them another name", "%s is the name of phases[%d] already", strictyaml.Quote(ph.Name), j)
			continue
		}
		first[ph.Name] = i
	}
}

func (c *checker) phase(path string, ph Phase) {
	if !c.has(path + ".model") {
		c.report(path+".model", "open: arrivals come by a schedule, closed: each connection sends when its last answer came", "a phase needs a model")
	} else {
		c.word(path+".model", ph.Model, "open", "closed")
	}
	if ph.Name != ph.Model || c.has(path+".name") {
		c.name(path+".name", ph.Name)
	}
	if ph.Name == "warmup" || ph.Name == "pilot" {
		c.report(path+".name", "", "%s is the name of a phase of bakeoff's own", strictyaml.Quote(ph.Name))
	}
	c.connections(path+".connections", ph)
	c.duration(path+".duration", ph.Duration, 100*time.Millisecond, 24*time.Hour)
	c.duration(path+".timeout", ph.Timeout, time.Millisecond, 2*time.Minute)
	c.number(path+".check_share", ph.CheckShare, 0.1, 1)
	if c.plan.Running() {
		c.absent(path+".lookups", "is for kind: recipe; a running server is asked one URL")
	} else if c.has(path + ".lookups") {
		c.word(path+".lookups", ph.Lookups, "client", "server")
	}
	if c.has(path + ".engine") {
		c.word(path+".engine", ph.Engine, Native, HTTP, JMeter)
	}
	if c.plan.EngineOf(ph) == JMeter {
		c.jmeter(path, ph)
	}
	c.pair(path, ph)
	c.direct(path, ph)
	c.asks(path, ph)
	switch ph.Model {
	case "open":
		c.open(path, ph)
	case "closed":
		c.closed(path, ph)
	}
}

func (c *checker) connections(path string, ph Phase) {
	if ph.Connections == 0 && !c.has(path) {
		c.report(path, "", "a closed phase needs connections")
		return
	}
	c.integer(path, ph.Connections, 1, 100_000)
	switch n := c.plan.Agents.Count; {
	case n > mostAgents || ph.Connections < 1:
	case ph.Connections < n:
		c.report(path, "", "%d connections are fewer than the %d agents", ph.Connections, n)
	case ph.Connections < c.plan.reachIn(ph):
		c.report(path, fmt.Sprintf("at least %d", c.plan.reachIn(ph)), "%d connections do not reach every replica from every agent without a balancer", ph.Connections)
	}
}

func (c *checker) open(path string, ph Phase) {
	c.absent(path+".ramp", "is for closed phases")
	c.absent(path+".think", "is for closed phases")
	c.word(path+".arrivals", ph.Arrivals, "poisson", "constant")
	rate, share := c.has(path+".rate"), c.has(path+".rate_of_pilot")
	switch {
	case rate && share:
		c.report(path+".rate_of_pilot", "remove one", "rate and rate_of_pilot exclude each other")
	case !rate && !share:
		c.report(path+".rate", "", "an open phase needs a rate or a rate_of_pilot")
	}
	if rate {
		c.number(path+".rate", ph.Rate, leastRate, 10_000_000)
	}
	if share {
		c.number(path+".rate_of_pilot", ph.RateOfPilot, leastRate, 10)
	}
}

func (c *checker) closed(path string, ph Phase) {
	for _, key := range []string{".rate", ".rate_of_pilot", ".arrivals"} {
		c.absent(path+key, "is for open phases")
	}
	c.duration(path+".think", ph.Think, 0, time.Hour)
	c.duration(path+".ramp", ph.Ramp, 0, 24*time.Hour)
	if ph.Ramp > 0 && ph.Ramp >= ph.Duration {
		c.report(path+".ramp", "", "%s leaves nothing of the phase's duration of %s", ph.Ramp, ph.Duration)
	}
}

func (c *checker) primary() {
	p := c.plan
	c.word("primary", p.Primary, Throughput, P99AtRate, Capacity)
	need := map[string]string{Throughput: "closed", P99AtRate: "open", Capacity: "closed"}[p.Primary]
	unclear := func(ph Phase) bool { return ph.Model != "open" && ph.Model != "closed" }
	if need == "" || len(p.Phases) == 0 || slices.ContainsFunc(p.Phases, unclear) {
		return
	}
	if !slices.ContainsFunc(p.Phases, func(ph Phase) bool { return ph.Model == need && !ph.Pings() && !ph.Direct }) {
		c.report("primary", "", "%s needs %s %s phase", strictyaml.Quote(p.Primary), article(need), need)
	}
}

func (c *checker) consent() {
	for i, host := range c.plan.AllowHosts {
		if err := consent.Allowable(host); err != nil {
			c.report(fmt.Sprintf("allow_hosts[%d]", i), "", "%v", err)
		}
	}
	u, err := url.Parse(c.plan.Balancer.URL)
	if c.plan.Balancer.Kind != "external" || err != nil || u.Hostname() == "" {
		return
	}
	if err := consent.Host(u.Hostname(), c.plan.AllowHosts); err != nil {
		c.report("balancer.url", "", "%v", err)
	}
}

// The rules for single values.

func (c *checker) name(path, name string) {
	switch {
	case name == "" && !c.has(path):
		c.report(path, "", "is missing")
	case !nameText.MatchString(name):
		c.report(path, suggestName(name), "%s is not a name: 1 to 63 characters of a-z, 0-9 and -", strictyaml.Quote(name))
	}
}

// suggestName is a hint how to write a name, or "".
func suggestName(name string) string {
	fixed := strings.Map(func(r rune) rune {
		if r == '_' || r == ' ' {
			return '-'
		}
		return r
	}, strings.ToLower(name))
	if nameText.MatchString(fixed) {
		return "write " + fixed
	}
	return ""
}

func (c *checker) word(path, word string, known ...string) {
	if slices.Contains(known, word) {
		return
	}
	hint := strictyaml.Suggest(word, known)
	c.report(path, hint, "must be %s, but is %s", strings.Join(known, " or "), strictyaml.Quote(word))
}

func (c *checker) integer(path string, x, least, most int) {
	if x < least || x > most {
		c.report(path, "", "must be %d to %d, but is %d", least, most, x)
	}
}

// override checks an integer that may be left out.
func (c *checker) override(path string, x, most int) {
	if c.has(path) {
		c.integer(path, x, 1, most)
	}
}

// leastRate is the lowest rate, and share of one, that a phase may ask for: less would plan nothing for a quarter of an hour.
const leastRate = 0.001

func (c *checker) number(path string, x, least, most float64) {
	if x >= least && x <= most {
		return
	}
	hint := ""
	if most == 1 && x > 1 && x <= 100 {
		hint = "write " + decimal(x/100)
	}
	c.report(path, hint, "must be %s to %s, but is %s", decimal(least), decimal(most), decimal(x))
}

func decimal(x float64) string {
	if math.Abs(x) < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func (c *checker) duration(path string, d Duration, least, most time.Duration) {
	switch {
	case d == 0 && least > 0 && !c.has(path):
		c.report(path, "such as 4s", "is missing")
	case time.Duration(d) < least || time.Duration(d) > most:
		c.report(path, "", "must be %s to %s, but is %s", Duration(least), Duration(most), d)
	}
}

// prose checks a text that is shown to people.
func (c *checker) prose(path, text string) {
	const most = 10_000
	switch {
	case len(text) > most:
		c.report(path, "", "%d bytes are more than %d", len(text), most)
	case strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }):
		c.report(path, "", "must not hold control characters")
	}
}

func (c *checker) absent(path, why string) {
	if c.has(path) {
		c.report(path, "", "%s", why)
	}
}

// path refuses a file name with a NUL or a step upwards.
func (c *checker) path(path, name string) {
	switch {
	case strings.ContainsFunc(name, control):
		c.report(path, "", "must not hold control characters")
	case dsnText.MatchString(name):
		c.report(path, "write the DSN into a file of mode 0600 and the file's name here", "holds a DSN itself")
	case slices.Contains(strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }), ".."):
		c.report(path, "write the whole path", "must not hold ..")
	}
}

func control(r rune) bool { return unicode.IsControl(r) }

func article(word string) string {
	if strings.HasPrefix(word, "o") {
		return "an"
	}
	return "a"
}
