package jmeter

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// homeWith is the folder of a JMeter that has one plugin.
func homeWith(t *testing.T, class string) Home {
	t.Helper()
	home := Home{Dir: t.TempDir()}
	for _, folder := range []string{"bin", "lib/ext"} {
		if err := os.MkdirAll(filepath.Join(home.Dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	names := "# names\n_version=5\nTestPlan=org.apache.jmeter.testelement.TestPlan\nThreadGroup=org.apache.jmeter.threads.ThreadGroup\nBackendListener=org.apache.jmeter.visualizers.backend.BackendListener\n" +
		"HTTPSamplerProxy,HTTPSampler,HTTPSampler2=org.apache.jmeter.protocol.http.sampler.HTTPSamplerProxy\n"
	if err := os.WriteFile(filepath.Join(home.Dir, "bin", "saveservice.properties"), []byte(names), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(home.Dir, "lib/ext/plugin.jar"))
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(file)
	if _, err := w.Create(strings.ReplaceAll(class, ".", "/") + ".class"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	return home
}

func ownPlan(t *testing.T, elements string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own.jmx")
	if err := os.WriteFile(path, []byte("<jmeterTestPlan><hashTree>"+elements+"</hashTree></jmeterTestPlan>"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Plugins that are not there are refused by name; those that are there, and JMeter's own elements, are not.
func TestPluginsAreNamed(t *testing.T) {
	home := homeWith(t, "kg.apc.Known")
	const known = `<TestPlan testclass="TestPlan"/><X testclass="org.apache.jmeter.threads.ThreadGroup"/><Y testclass="kg.apc.Known"/><H testclass="HTTPSamplerProxy"/><G testclass="HTTPSampler2"/>`
	if _, err := ReadOwnPlan(ownPlan(t, known), home, nil); err != nil {
		t.Error(err)
	}
	_, err := ReadOwnPlan(ownPlan(t, known+`<Z testclass="kg.apc.Ultimate"/><A testclass="Unheard"/>`), home, nil)
	if err == nil || !strings.HasSuffix(err.Error(), "uses plugins that "+home.Dir+" does not have: Unheard, kg.apc.Ultimate") {
		t.Errorf("%v", err)
	}
	for text, says := range map[string]string{"<a>": "XML syntax error", "<other/>": `its root is "other"`} {
		path := filepath.Join(t.TempDir(), "bad.jmx")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadOwnPlan(path, home, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Before there is a JMeter, plugins are known by their packages; with one, short names are looked up too.
func TestPluginsBeforeJMeter(t *testing.T) {
	path := ownPlan(t, `<TestPlan testclass="TestPlan"/><Z testclass="kg.apc.Ultimate"/><A testclass="Unheard"/><Y testclass="org.apache.jmeter.threads.ThreadGroup"/>`)
	cache := t.TempDir()
	nothing := func(string) string { return "" }
	if err := CheckOwnPlan(path, cache, nothing, nil); err == nil || !strings.HasSuffix(err.Error(), "uses plugins that JMeter "+Version+" does not have: kg.apc.Ultimate") {
		t.Errorf("%v", err)
	}
	home := cachedHome(cache)
	if err := os.MkdirAll(filepath.Dir(home), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(homeWith(t, "kg.apc.Ultimate").Dir, home); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, doneFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckOwnPlan(path, cache, nothing, nil); err == nil || !strings.HasSuffix(err.Error(), "uses plugins that "+home+" does not have: Unheard") {
		t.Errorf("%v", err)
	}
}

// What is run elsewhere is read as it is: plugins are that machine's matter, and hosts, and whether it is a test plan, are not.
func TestOwnTextForElsewhere(t *testing.T) {
	const plugin = `<Z testclass="kg.apc.Ultimate"/>`
	text, err := ReadOwnText(ownPlan(t, plugin), nil)
	if err != nil || string(text) != "<jmeterTestPlan><hashTree>"+plugin+"</hashTree></jmeterTestPlan>" {
		t.Errorf("%q, %v", text, err)
	}
	const host = `<H testclass="HTTPSamplerProxy" testname="one"><stringProp name="HTTPSampler.domain">shop.example</stringProp></H>`
	if _, err := ReadOwnText(ownPlan(t, host), nil); err == nil || !strings.Contains(err.Error(), "shop.example") {
		t.Errorf("%v", err)
	}
	if _, err := ReadOwnText(ownPlan(t, host), []string{"shop.example"}); err != nil {
		t.Error(err)
	}
	other := filepath.Join(t.TempDir(), "other.jmx")
	if err := os.WriteFile(other, []byte("<other/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{other: `its root is "other"`, other + ".none": "no such file"} {
		if _, err := ReadOwnText(path, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A plan of a team's own gets what it needs as properties, is judged by its own assertions, and what is not known of its
// requests is not claimed.
func TestOwnPlanRuns(t *testing.T) {
	o := fakeOptions(t, 2)
	own, err := ReadOwnPlan(ownPlan(t, `<TestPlan testclass="TestPlan"/>`), homeWith(t, "x.Y"), nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Own = own
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	behaveAs(t, o.LogDir, "foreign")
	var sum stats.Totals
	report, err := l.Run(t.Context(), taskOf("own"), func(s fleet.Snapshot) { sum.Add(s.Window) })
	if err != nil || len(report.Lost) > 0 {
		t.Fatalf("%+v, %v", report.Lost, err)
	}
	if want := (stats.Books{Planned: 6, Sent: 6, OK: 5, Bad: 1}); sum.Books != want || sum.Outcomes["failed assertion"] != 1 {
		t.Errorf("%+v, %v", sum.Books, sum.Outcomes)
	}
	if sum.Hits+sum.Misses+sum.Checked != 0 {
		t.Errorf("hits %d, misses %d, checked %d of requests of which nothing is known", sum.Hits, sum.Misses, sum.Checked)
	}
	if notes := strings.Join(l.Notes(), "\n"); !strings.Contains(notes, own.Path) || !strings.Contains(notes, own.Digest) || !strings.Contains(notes, "is not known") {
		t.Errorf("notes: %s", notes)
	}
	if got, err := os.ReadFile(filepath.Join(o.LogDir, "jmeter-001-own.jmx")); err != nil || !strings.Contains(string(got), "<jmeterTestPlan>") {
		t.Errorf("%s, %v", got, err)
	}
}

// A plan that names a host of its own is refused before a JVM starts; the property, an allowed host and this machine are not.
func TestOwnPlanHosts(t *testing.T) {
	home := homeWith(t, "x.Y")
	prop := func(name, value string) string {
		return `<TestPlan testclass="TestPlan" testname="buy"/><stringProp name="` + name + `">` + value + `</stringProp>`
	}
	for text, says := range map[string]string{
		prop("HTTPSampler.domain", ""):                                      "",
		prop("HTTPSampler.domain", "${__P(host)}"):                          "",
		prop("HTTPSampler.domain", "${__P(host,localhost)}"):                "",
		prop("HTTPSampler.domain", "127.0.0.1"):                             "",
		prop("HTTPSampler.domain", "shop.example"):                          "",
		prop("HTTPSampler.path", "/a?b=http://x.example"):                   "",
		prop("HTTPSampler.path", "http://${__P(host)}:1/a"):                 "",
		prop("HTTPSampler.domain", "prod.example"):                          `TestPlan "buy": HTTPSampler.domain: refusing to send load to "prod.example"`,
		prop("HTTPSampler.domain", "<!-- a -->prod<![CDATA[.example]]>"):    `"prod.example"`,
		prop("HTTPSampler.domain", "${server}"):                             "is known only when the plan runs",
		prop("HTTPSampler.domain", "${__P(host)}.prod.example"):             "is known only when the plan runs",
		prop("HTTPSampler.domain", "169.254.169.254"):                       "link-local",
		prop("HTTPSampler.path", "https://prod.example/a"):                  `"prod.example"`,
		prop("HTTPSampler.path", "http://${__P(host)}@prod.example/a"):      "HTTPSampler.path",
		prop("HTTPSampler.path", "${target}"):                               "begin it with /",
		prop("HTTPSampler.proxyHost", "prod.example"):                       `"prod.example"`,
		prop("TCPSampler.server", "prod.example"):                           `"prod.example"`,
		prop("dbUrl", "jdbc:mysql://prod.example/shop"):                     "is not checked",
		prop("IncludeController.includepath", "other.jmx"):                  "is not checked",
		`<BackendListener testclass="BackendListener" testname="metrics"/>`: `BackendListener "metrics" sends to other servers`,
	} {
		_, err := ReadOwnPlan(ownPlan(t, text), home, []string{"shop.example"})
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

// A plan gets the address that was looked up and allowed, not the name.
func TestOwnPlanDials(t *testing.T) {
	task := taskOf("own")
	task.URLs, task.Dial = []string{"http://shop.example:8080"}, []string{"127.0.0.9:81"}
	got, err := (&OwnPlan{}).properties(task, 2, "keys")
	if err != nil || got[0] != "-Ghost=127.0.0.9" || got[1] != "-Gport=81" {
		t.Errorf("%v, %v", got, err)
	}
}

// JMeter's own listener is in the test plan of a phase, and names the target and a measurement of its own; it is not in the plan of
// the warm-up of the JVMs, and not where nobody asked for it.
func TestListenerInPlan(t *testing.T) {
	l := &Loader{o: Options{Count: 2}}
	task := fleet.Task{URLs: []string{"http://127.0.0.1:1"}, Target: "flask & co", Phase: load.Phase{Name: "closed", Model: load.Closed, Connections: 2, Duration: time.Second}}
	const element = "org.apache.jmeter.visualizers.backend.influxdb.InfluxdbBackendListenerClient"
	text := func() string {
		plan, _, err := l.plan(task, always{}, "keys")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := classes(plan); err != nil {
			t.Fatal(err)
		}
		return string(plan)
	}
	if strings.Contains(text(), element) {
		t.Error("a listener that nobody asked for")
	}
	l.Listen("http://127.0.0.1:8086/write?db=a&b")
	got := text()
	for _, want := range []string{element, "<stringProp name=\"Argument.value\">flask &amp; co</stringProp>", ">http://127.0.0.1:8086/write?db=a&amp;b<", ">" + ListenerMeasurement + "<"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the plan", want)
		}
	}
	if l.warming = true; strings.Contains(text(), element) {
		t.Error("a listener in the warm-up of the JVMs")
	}
}
