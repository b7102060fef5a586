package cli_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// What is printed is XML, holds keys of the plan with what is right for them, and takes its address from properties.
func TestRenderJMeter(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", planText("flask", 1, "agents: {count: 2}"))
	out := s.run(0, "render", "jmeter", "p.yaml").stdout.String()
	wantAll(t, "test plan", out, "<ThreadGroup ", "${__P(host,127.0.0.1)}", "${__P(port,8080)}", "${__P(threads,4)}", "${__P(duration,1)}",
		"/demo?name=", "target_1000", "${__V(target_${__Random(1,1000,n)})}", `<boolProp name="HTTPSampler.use_keepalive">true</boolProp>`)
	dec := xml.NewDecoder(strings.NewReader(out))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	s.write("open.yaml", strings.Replace(planText("flask", 1), "name: closed, model: closed, connections: 4", "name: steady, model: open, rate: 50, arrivals: constant, timeout: 1s", 1))
	out = s.run(0, "render", "jmeter", "open.yaml", "--phase", "steady").stdout.String()
	wantAll(t, "test plan", out, "<OpenModelThreadGroup ", "rate(50/sec) even_arrivals(1 sec) pause(6 sec)")
	wantAll(t, "stderr", s.run(2, "render", "jmeter", "p.yaml", "--phase", "none").stderr.String(), `the plan has no phase "none" (it has closed)`)
}
