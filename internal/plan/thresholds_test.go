package plan

import (
	"fmt"
	"strings"
	"testing"
)

// required is a plan of one or two targets with these lines as its thresholds.
func required(targets string, thresholds ...string) []byte {
	text := "name: p\ntargets: [" + targets + "]\nphases:\n  - {model: closed, connections: 4, duration: 1s}\n  - {model: open, rate: 10, duration: 1s}\nthresholds:\n"
	for _, one := range thresholds {
		text += "  - " + one + "\n"
	}
	return []byte(text)
}

func TestThresholds(t *testing.T) {
	for _, text := range []string{
		"open: p99 < 50ms", "open: response p99.9 < 50ms", "closed: service mean < 1s", "closed: django.throughput > 0.95 * flask.throughput",
		"closed: throughput > flask.throughput", "open: errors < 0.1%", "open: p99 < 10 * p50", "open: django.timeouts <= 0",
		"open: service p99 < 0.9 * p99", "open: django.p99 < 2 * flask.p99",
	} {
		if p, err := Load("p.yaml", required("django, flask", fmt.Sprintf("%q", text))); err != nil || p.Thresholds[0] != text {
			t.Errorf("%s: %v", text, err)
		}
	}
	p, err := Load("p.yaml", required("app", `"closed: head.throughput > 0.97 * base.throughput"`, `"open: app.p99 < 1s"`))
	if err != nil {
		t.Fatal(err)
	}
	found := p.Versioned()
	if len(found) != 2 || found[0].Path != "thresholds[0]" || found[0].Text != `"head" is a target of bakeoff ab: a run of this plan has none` || !strings.HasPrefix(found[1].Text, `"base"`) {
		t.Errorf("%+v", found)
	}
	p.Targets = []Target{{Name: "base"}, {Name: "head"}}
	if found := p.Versioned(); len(found) != 0 {
		t.Errorf("of base and head: %+v", found)
	}
}

// A mistake is shown with file, line and column, the key, the word that is wrong, and the nearest one that there is.
func TestThresholdsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"opne: p99 < 50ms":              `p.yaml:7:5: thresholds[0]: "opne" is no phase of the plan: there is closed, open (did you mean open)`,
		"open: pp99 < 50ms":             `p.yaml:7:5: thresholds[0]: "open: pp99 < 50ms": "pp99" is not a figure: there are p50, p99 and so on,`,
		"closed: djano.p50 < 50ms":      `p.yaml:7:5: thresholds[0]: "djano" is no target of the plan: there is django, flask (did you mean django)`,
		"closed: p50 < 2 * flsk.p50":    `p.yaml:7:5: thresholds[0]: "flsk" is no target of the plan: there is django, flask (did you mean flask)`,
		"closed: throughptu > 5":        "(did you mean throughput)",
		"p99 < 50ms":                    `thresholds[0]: "p99 < 50ms" names no phase (such as closed: p99 < 50ms)`,
		"closed: response p99 < 50ms":   "thresholds[0]: a closed phase has service times: nothing is due before the last answer came (write service)",
		"open: p99 = 50ms":              `thresholds[0]: "open: p99 = 50ms": there is none of < <= > >= (such as 'open: p99 < 50ms',`,
		"open: p99 < 50":                `"50" is not a time such as 50ms`,
		"closed: base.p50 < 50ms":       `"base" is no target of the plan: there is django, flask`,
		"open: django.p99 < 0.9 * p99":  "thresholds[0]: a figure of django is compared with itself (name another target or another figure)",
		"open: response p99 < 2 * p99":  "thresholds[0]: a figure of each target is compared with itself",
		"closed: p99 < 2 * service p99": "thresholds[0]: a figure of each target is compared with itself",
	} {
		if _, err := Load("p.yaml", required("django, flask", fmt.Sprintf("%q", text))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
	for want, data := range map[string][]byte{
		"thresholds[1]: is thresholds[0] already (remove one)":    required("a, b", `"open: p99 < 1s"`, `"open: p99 < 1s"`),
		"thresholds: 101 thresholds are more than 100":            required("a, b", strings.Split(strings.Repeat(`"open: p99 < 1s",`, 101), ",")[:101]...),
		"there is no other target than a that it could be about":  required("a", `"closed: throughput > a.throughput"`),
		"thresholds[0]: a figure of head is compared with itself": required("a", `"closed: throughput > 1.05 * head.throughput"`),
		`thresholds[0]: "a" is no target of the plan: there is base, head (in bakeoff ab base and head take the place of the plan's target)`: required(
			"{name: base, recipe: a}, {name: head, recipe: a}", `"open: a.p99 < 50ms"`),
		"thresholds[0]: JMeter measures no response time: phase open has service times (write service)": append([]byte("agents: {engine: jmeter}\n"),
			required("a", `"open: response p99 < 1s"`)...),
		"thresholds[0]: ": required("a", "{a: b}"),
	} {
		if _, err := Load("p.yaml", data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
