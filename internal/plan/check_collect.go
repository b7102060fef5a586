package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"bakeoff/internal/consent"
	"bakeoff/internal/strictyaml"
)

// bucketText is a name of a database, a bucket or an organisation that needs no thought anywhere.
var bucketText = regexp.MustCompile(`^[A-Za-z0-9_. -]{1,64}$`)

// collect looks at where a run is written to in addition to its directory.
func (c *checker) collect() {
	if !c.has("collect") {
		return
	}
	if !c.has("collect.influxdb") && !c.has("collect.otlp") {
		c.report("collect", "add influxdb: {url: \"http://127.0.0.1:8086\", database: bakeoff}", "names no collector")
	}
	if c.has("collect.influxdb") && !c.bad("collect.influxdb") {
		c.influxdb("collect.influxdb", c.plan.Collect.InfluxDB)
	}
	if c.has("collect.otlp") && !c.bad("collect.otlp") {
		c.otlp("collect.otlp", c.plan.Collect.OTLP)
	}
}

// otlp looks at a server that takes OpenTelemetry's metrics.
func (c *checker) otlp(at string, o OTLP) {
	c.collector(at+".url", o.URL, "http://127.0.0.1:4318")
	c.files(at, o.URL, []named{{".token_file", o.TokenFile}, {".headers_file", o.HeadersFile}, {".ca_file", o.CAFile}})
}

// named is a key with its text.
type named struct{ key, text string }

// files looks at the names of files; authorities are for https.
func (c *checker) files(at, url string, files []named) {
	for _, file := range files {
		if c.has(at+file.key) && file.text == "" {
			c.report(at+file.key, "leave it out", "names no file")
		}
		c.path(at+file.key, file.text)
		if file.key == ".ca_file" && file.text != "" && !strings.HasPrefix(url, "https:") {
			c.report(at+file.key, "", "is for https")
		}
	}
}

// influxdb looks at an InfluxDB.
func (c *checker) influxdb(at string, i InfluxDB) {
	c.word(at+".schema", i.Schema, "bakeoff", "jmeter", "both")
	c.listener(at, i)
	if i.Kind != "" {
		c.managed(at, i)
		return
	}
	c.collector(at+".url", i.URL, "http://127.0.0.1:8086")
	c.destination(at, i)
	switch {
	case i.PasswordFile != "" && i.User == "":
		c.report(at+".password_file", "add user", "is for a user, and there is none")
	case i.TokenFile != "" && i.User != "":
		c.report(at+".token_file", "remove one", "user and token_file exclude each other")
	}
	if len(i.User) > 255 || strings.ContainsFunc(i.User, control) || strings.Contains(i.User, ":") {
		c.report(at+".user", "", "%s is not a user: at most 255 characters without a colon", strictyaml.Quote(i.User))
	}
	c.files(at, i.URL, []named{{".password_file", i.PasswordFile}, {".token_file", i.TokenFile}, {".ca_file", i.CAFile}})
}

// listener is for a JMeter whose test plan is written here, and for a server that asks for no secret: it would be in that plan.
func (c *checker) listener(at string, i InfluxDB) {
	path := at + ".listener"
	switch {
	case !i.Listener || !c.has(path):
	case !c.plan.Uses(JMeter):
		c.report(path, "", "is for engine jmeter, and no phase has that")
	case c.plan.Agents.JMX != "":
		c.report(path, "", "is not for a test plan of your own (agents.jmx), which is run as it is")
	case i.User != "" || i.TokenFile != "" || i.Bucket != "" || i.CAFile != "":
		c.report(path, "", "is for a managed server, or a database that needs no user, token or ca_file: they would be in JMeter's test plan")
	}
}

// managed is of the kind that has nothing of a server's.
func (c *checker) managed(at string, i InfluxDB) {
	if i.Kind != KindManaged {
		path := at
		if c.has(at + ".kind") {
			path += ".kind"
		}
		c.word(path, i.Kind, KindServer, KindManaged)
		return
	}
	for _, key := range []string{".url", ".database", ".bucket", ".org", ".user", ".password_file", ".token_file", ".ca_file"} {
		c.absent(at+key, "is for kind: server; a managed one is started for the run")
	}
}

// destination wants a database, or a bucket and its organisation.
func (c *checker) destination(at string, i InfluxDB) {
	for _, name := range []named{{".database", i.Database}, {".bucket", i.Bucket}, {".org", i.Org}} {
		if c.has(at+name.key) && !bucketText.MatchString(name.text) {
			c.report(at+name.key, "", "%s is not a name: 1 to 64 letters, digits, spaces, dots, - and _", strictyaml.Quote(name.text))
		}
	}
	switch {
	case i.Database != "" && i.Bucket+i.Org != "":
		c.report(at+".database", "remove one", "a database is of version 1, bucket and org are of version 2")
	case i.Database == "" && i.Bucket == "" && i.Org == "":
		c.report(at, "add database, or bucket and org", "says no place on the server")
	case (i.Bucket == "") != (i.Org == ""):
		c.report(at, "", "a bucket needs its org, and an org a bucket")
	}
}

// collector checks the URL of a collector, and that the plan's user allows its host.
func (c *checker) collector(at, text, example string) {
	if text == "" {
		c.report(at, "such as "+example, "is missing")
		return
	}
	if !c.url(at, text) {
		return
	}
	u, err := url.Parse(text)
	if err != nil {
		return // c.url has said so
	}
	if err := consent.Host(u.Hostname(), c.plan.AllowHosts); err != nil {
		c.report(at, "", "%v", err)
	}
}

// Destination is where a recorded run is written to: to one of the two, and which hosts other than this machine that may be.
type Destination struct {
	InfluxDB   InfluxDB
	OTLP       OTLP
	AllowHosts []string
	Secrets    bool // may be sent: the user named the server, or it is this machine
}

// recordedCollect are the collectors of a recorded plan.
func recordedCollect(recorded []byte) (Collect, error) {
	var known struct {
		Collect Collect `json:"collect"`
	}
	if err := json.Unmarshal(recorded, &known); err != nil {
		return Collect{}, fmt.Errorf("plan: the recorded one: %w", err)
	}
	return known.Collect, nil
}

// CollectOf is the InfluxDB that a recorded plan names, or another one where one is given; hosts are those other than
// this machine that may be sent to. A run directory may come from anyone: its plan allows no host and names no file
// with a secret, and a server elsewhere that only it names gets no secret. It is checked as one of a plan.
func CollectOf(recorded []byte, given InfluxDB, hosts []string) (Destination, error) {
	d := Destination{InfluxDB: given, AllowHosts: hosts, Secrets: true}
	if given.URL == "" {
		var err error
		if d.InfluxDB, d.Secrets, err = recordedInflux(recorded, given, hosts); err != nil {
			return d, err
		}
	}
	if d.InfluxDB.Schema == "" {
		d.InfluxDB.Schema = "bakeoff"
	}
	i := d.InfluxDB
	return d, d.check("influxdb", map[string]bool{"database": i.Database != "", "bucket": i.Bucket != "", "org": i.Org != ""})
}

// OTLPOf is CollectOf for a server that takes OpenTelemetry's metrics.
func OTLPOf(recorded []byte, given OTLP, hosts []string) (Destination, error) {
	d := Destination{OTLP: given, AllowHosts: hosts, Secrets: true}
	if given.URL == "" {
		known, err := recordedCollect(recorded)
		if err != nil {
			return d, err
		}
		d.OTLP = known.OTLP
		if d.OTLP.URL == "" {
			return d, errors.New("the run's plan names no OTLP server: name one with --url")
		}
		here, err := reachable("OTLP server", d.OTLP.URL, given.TokenFile+given.HeadersFile != "", hosts)
		if err != nil {
			return d, err
		}
		d.Secrets, d.OTLP.TokenFile, d.OTLP.HeadersFile = here, given.TokenFile, given.HeadersFile
		if given.CAFile != "" {
			d.OTLP.CAFile = given.CAFile
		}
	}
	return d, d.check("otlp", nil)
}

// reachable is whether a server that only a recorded plan names is this machine; one elsewhere has to be among the hosts,
// and gets no secret.
func reachable(what, address string, secret bool, hosts []string) (here bool, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return false, fmt.Errorf("url of the %s: %w", what, err)
	}
	here = consent.Host(u.Hostname(), nil) == nil
	if consent.Host(u.Hostname(), hosts) != nil {
		return here, fmt.Errorf("the run's plan names the %s at %s, which is not this machine: allow it with --allow-host, or name it with --url", what, strictyaml.Quote(u.Host))
	}
	if !here && secret {
		return here, fmt.Errorf("a password or token is sent to %s only where you name it with --url", strictyaml.Quote(u.Host))
	}
	return here, nil
}

// recordedInflux is the server that a recorded plan names, with the secrets and the schema of flags, and whether it is
// this machine.
func recordedInflux(recorded []byte, given InfluxDB, hosts []string) (i InfluxDB, here bool, err error) {
	known, err := recordedCollect(recorded)
	if err != nil {
		return i, false, err
	}
	i = known.InfluxDB
	switch {
	case given.Database != "" || given.Bucket != "" || given.Org != "" || given.User != "":
		return i, false, errors.New("flags of another server need its --url")
	case i.Kind == KindManaged:
		return i, false, errors.New("the run's InfluxDB was a managed one: start it with 'bakeoff collector RUN', and name its --url and --database bakeoff")
	case i.URL == "":
		return i, false, errors.New("the run's plan names no InfluxDB: name one with --url and --database, or --bucket and --org")
	}
	if here, err = reachable("InfluxDB", i.URL, i.User != "" || given.PasswordFile != "" || given.TokenFile != "", hosts); err != nil {
		return i, here, err
	}
	i.PasswordFile, i.TokenFile = given.PasswordFile, given.TokenFile
	if given.CAFile != "" {
		i.CAFile = given.CAFile
	}
	if given.Schema != "" {
		i.Schema = given.Schema
	}
	return i, here, nil
}

// check refuses what a plan would be refused for; the error names the key. given are the keys that have a value.
func (d Destination) check(kind string, given map[string]bool) error {
	var wrong error
	at := "collect." + kind
	c := checker{
		plan: &Plan{Collect: Collect{InfluxDB: d.InfluxDB, OTLP: d.OTLP}, AllowHosts: d.AllowHosts},
		bad:  func(string) bool { return false },
		has: func(path string) bool {
			return path == "collect" || path == at || given[strings.TrimPrefix(path, at+".")]
		},
		report: func(path, hint, format string, args ...any) {
			if wrong != nil {
				return
			}
			text := fmt.Sprintf(format, args...)
			if hint != "" {
				text += " (" + hint + ")"
			}
			wrong = fmt.Errorf("%s: %s", strings.TrimPrefix(path, "collect."), text)
		},
	}
	c.collect()
	return wrong
}
