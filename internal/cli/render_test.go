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

// The objects of a run in a cluster are printed, the same each time; what they ask for is on stderr. A plan that says
// nothing of a cluster, or what only a machine has, is refused with its line.
func TestRenderKubernetes(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", planText("flask", 1, "agents: {count: 2}\nkubernetes: {registry: registry.example/b, allow_colocated: one node carries all of it}"))
	first := s.run(0, "render", "kubernetes", "p.yaml")
	out := first.stdout.String()
	wantAll(t, "objects", out, "kind: Namespace\n", "image: registry.example/b/flask:1\n", "kind: StatefulSet\n", "name: bakeoff-agent-1\n", "admin-password: made for each run\n",
		"server bakeoff-target-flask:8080 max_fails=0;")
	wantAll(t, "stderr", first.stderr.String(), "the run asks the cluster for 6 pods on at least 1 node, with ", " cores and ")
	if again := s.run(0, "render", "kubernetes", "p.yaml").stdout.String(); again != out {
		t.Error("another text the second time")
	}
	wantAll(t, "objects", s.run(0, "render", "kubernetes", "p.yaml", "--namespace", "mine", "--short").stdout.String(), "namespace: mine\n", "cpu: 50m\n", "- --short\n")
	if strings.Contains(s.run(0, "render", "kubernetes", "p.yaml", "--namespace", "mine").stdout.String(), "kind: Namespace") {
		t.Error("a given namespace is made")
	}
	wantAll(t, "stderr", s.run(2, "render", "kubernetes", "p.yaml", "--namespace", "Mine").stderr.String(), `"Mine" is not a namespace`)
	s.write("none.yaml", planText("flask", 1))
	wantAll(t, "stderr", s.run(2, "render", "kubernetes", "none.yaml").stderr.String(), "none.yaml", "kubernetes: is missing")
	s.write("jm.yaml", planText("flask", 1, "kubernetes: {registry: r.example}\ndatabase: {server: /usr/sbin/mysqld}"))
	wantAll(t, "stderr", s.run(2, "render", "kubernetes", "jm.yaml").stderr.String(), "jm.yaml:", "database.server: in a cluster")
}

// A balancer that a cluster brings along is among the objects of a run there, what is known of it is said beforehand, and on one machine
// it is refused with its line.
func TestBalancersOfAClusterHere(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", planText("go-nethttp", 1, `kubernetes: {registry: registry.example/b}
balancer: {kind: ingress, class: fast, host: "{target}.bench.example", address: 10.0.0.5, equal_within: 2%}`))
	wantAll(t, "objects", s.run(0, "render", "kubernetes", "p.yaml").stdout.String(), "kind: Ingress\n", "ingressClassName: fast\n", "host: go-nethttp.bench.example\n", "name: BAKEOFF_REPLICA\n")
	wantAll(t, "stdout", s.run(0, "check", "p.yaml").stdout.String(), "the balancer is the cluster's (ingress): every answer has to name its replica", "more than 2% from an equal one")
	for _, command := range []string{"run", "verify"} {
		wantAll(t, "stderr", s.run(2, command, "p.yaml").stderr.String(), "p.yaml:8:18: balancer.kind: ingress is something that a cluster has: nothing on one machine stands for it (run with --platform kubernetes, or use nginx)")
	}
	s.write("q.yaml", planText("go-nethttp", 1, "balancer: {kind: service}"))
	wantAll(t, "stderr", s.run(2, "check", "q.yaml").stderr.String(), "q.yaml:7:18: balancer.kind: service is for a run in a cluster")
}

// An image of the program is written and pushed nowhere else; the digest is that of the same program each time.
func TestImage(t *testing.T) {
	s := newScene(t)
	first := s.run(0, "image", "--out", "one").stdout.String()
	if again := s.run(0, "image", "--out", "two").stdout.String(); again != first || !strings.HasPrefix(first, "sha256:") {
		t.Errorf("digests %q and %q", first, again)
	}
	wantAll(t, "stderr", s.run(1, "image", "--out", "one").stderr.String(), "is not empty")
	wantAll(t, "stderr", s.run(2, "image").stderr.String(), "either --out or --push")
	s.write("script", "#!/bin/sh\n")
	wantAll(t, "stderr", s.run(1, "image", "--out", "three", "--program", "script").stderr.String(), "is not a program for Linux")
}

// Objects are checked in a namespace, by the cluster of the kubeconfig.
func TestRenderKubernetesCheck(t *testing.T) {
	s := newScene(t)
	s.env = append(s.env, "KUBECONFIG="+s.write("config", "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: \"https://127.0.0.1:1\"}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {token: t}}]\n"))
	s.write("p.yaml", planText("flask", 1, "kubernetes: {registry: registry.example/b}"))
	wantAll(t, "stderr", s.run(2, "render", "kubernetes", "p.yaml", "--check").stderr.String(), "--check needs a namespace that exists")
	wantAll(t, "stderr", s.run(2, "render", "kubernetes", "p.yaml", "--check", "--namespace", "n").stderr.String(), "kube: ")
	wantAll(t, "stderr", s.run(1, "render", "kubernetes", "p.yaml", "--check", "--namespace", "n", "--context", "a").stderr.String(), "127.0.0.1:1")
}
