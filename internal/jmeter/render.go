package jmeter

import (
	"fmt"
	"io"
	"strings"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
)

// rendered is how many keys of the plan's stream are in a plan that is printed.
const rendered = 1000

// Render writes a phase as a .jmx that a stock JMeter runs by itself: one of rendered keys is drawn for each request, and
// host, port, threads, ramp and duration are properties with the plan's values as defaults.
func Render(w io.Writer, t fleet.Task, workload load.Workload) error {
	asked, ok := workload.(Asked)
	if !ok {
		return fmt.Errorf("jmeter: JMeter cannot ask for contract %q", t.Contract)
	}
	p, err := planOf(t, 1, asked, "")
	if err != nil {
		return err
	}
	drawn := fmt.Sprintf("${__V(target_${__Random(1,%d,n)})}", rendered)
	p.Path = strings.Replace(p.Path, "${target}", drawn, 1)
	p.Host, p.Port = property("host", p.Host), property("port", p.Port)
	if !p.Open {
		p.Threads, p.Ramp, p.Duration = property("threads", fmt.Sprint(t.Phase.Connections)), property("ramp", p.Ramp), property("duration", p.Duration)
	}
	for i := range p.Expects {
		p.Expects[i] = fmt.Sprintf("${__V(expect%d_${n})}", i+1)
	}
	s := stream(t.Phase, 0)
	for i := range uint64(rendered) {
		p.Variables = append(p.Variables, pair{fmt.Sprintf("target_%d", i+1), string(asked.AppendTarget(nil, s, i))})
		var patterns []string
		if checks(t.Phase, s, i) {
			patterns = asked.Patterns(s, i)
		}
		for k := range mostPatterns {
			value := ""
			if k < len(patterns) {
				value = patterns[k]
			}
			p.Variables = append(p.Variables, pair{fmt.Sprintf("expect%d_%d", k+1, i+1), value})
		}
	}
	return p.write(w)
}

func property(name, value string) string { return fmt.Sprintf("${__P(%s,%s)}", name, value) }
