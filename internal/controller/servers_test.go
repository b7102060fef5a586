package controller

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"bakeoff/internal/load"
	"bakeoff/internal/plan"
	"bakeoff/internal/record"
)

// book is a resolver that knows a few names and notes which it is asked for.
type book struct {
	known map[string]string
	asked []string
}

func (b *book) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	b.asked = append(b.asked, host)
	if b.known[host] == "" {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr(b.known[host])}, nil
}

// serversOf is the stage of a plan with these targets.
func serversOf(t *testing.T, b *book, lines string) *servers {
	t.Helper()
	p, err := plan.Load("test.yaml", []byte("name: test\n"+lines+"phases: [{model: closed, connections: 2, duration: 1s}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &servers{o: &Options{Plan: p}, names: b}
}

// Where a name leads decides, before anything is sent: each is looked up once.
func TestServersAreLookedUp(t *testing.T) {
	const two = "allow_hosts: [a.example, b.example]\ntargets:\n" +
		"  - {name: a, kind: url, url: \"http://a.example:81/x\"}\n  - {name: b, kind: url, url: \"http://b.example/\"}\n"
	for name, c := range map[string]struct {
		b      string // address of b.example
		words  []string
		wanted bool // a PlanError
	}{
		"good":       {"127.0.0.3", nil, false},
		"unknown":    {"", []string{"target b: look up: no such host"}, false},
		"link-local": {"169.254.1.1", []string{"target b: b.example: 169.254.1.1 is a link-local address"}, true},
		"metadata":   {"100.100.100.200", []string{"metadata"}, true},
		"multicast":  {"224.0.0.9", []string{"multicast"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := &book{known: map[string]string{"a.example": "127.0.0.2", "b.example": c.b}}
			s := serversOf(t, b, two)
			err := s.preflight(t.Context())
			wantError(t, err, c.words...)
			if _, is := errors.AsType[*PlanError](err); is != c.wanted {
				t.Errorf("%T", err)
			}
			if !slices.Equal(b.asked, []string{"a.example", "b.example"}) {
				t.Errorf("looked up %q", b.asked)
			}
			if err != nil {
				return
			}
			d := s.deploy(t.Context(), launch{name: "a"})[0]
			if d.err != nil {
				t.Fatal(d.err)
			}
			task, err := d.task(load.Phase{})
			if err != nil || task.URLs[0] != "http://a.example:81" || task.Dial[0] != "127.0.0.2:81" {
				t.Errorf("task %+v, %v", task, err)
			}
		})
	}
}

// A run goes on only with servers at the addresses it was begun with.
func TestServersStayWhereTheyWere(t *testing.T) {
	const one = "allow_hosts: [a.example]\ntargets: [{name: a, kind: url, url: \"http://a.example/\"}]\n"
	b := &book{known: map[string]string{"a.example": "127.0.0.2"}}
	var rec record.Run
	for _, address := range []string{"127.0.0.2", "127.0.0.3"} {
		b.known["a.example"] = address
		s := serversOf(t, b, one)
		if err := s.preflight(t.Context()); err != nil {
			t.Fatal(err)
		}
		if address == "127.0.0.3" {
			wantError(t, s.same(rec), "a was at 127.0.0.2:80 when the run began and is at 127.0.0.3:80 now")
			continue
		}
		wantError(t, s.same(rec))
		s.describe(&rec)
		wantError(t, s.same(rec))
	}
	if len(rec.Targets) != 1 || len(rec.Notes) != 1 {
		t.Errorf("run.json: %+v", rec)
	}
}

// How fast each phase asks is said, also of rates below one request per second.
func TestPaceInWords(t *testing.T) {
	for _, c := range []struct {
		phase plan.Phase
		want  string
	}{
		{plan.Phase{Model: load.Closed, Connections: 8}, "as fast as 8 connections get answers"},
		{plan.Phase{Model: load.Open, Rate: 250}, "250 requests per second"},
		{plan.Phase{Model: load.Open, Rate: 0.5}, "0.5 requests per second"},
		{plan.Phase{Model: load.Open, RateOfPilot: 0.6}, "0.6 of what the slowest server answers in the pilot"},
	} {
		if got := pace(c.phase); got != c.want {
			t.Errorf("%+v: %q, want %q", c.phase, got, c.want)
		}
	}
}
