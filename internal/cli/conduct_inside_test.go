package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bakeoff/internal/controller"
	"bakeoff/internal/plan"
	"bakeoff/internal/remote"
)

// The controller's role is not for people: what its pod would give it has to be there, all of it.
func TestThisPod(t *testing.T) {
	given := map[string]string{"BAKEOFF_RUN": "r", "BAKEOFF_JOB_UID": "u", "POD_IP": "10.0.0.1", "BAKEOFF_TOKEN": "t", "BAKEOFF_SAMPLERS_KEY": "k"}
	for missing := range given {
		_, err := thisPod(Env{Getenv: func(name string) string {
			if name == missing {
				return ""
			}
			return given[name]
		}})
		if err == nil || !strings.Contains(err.Error(), missing) || exitStatus(err) != exitUsage {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	at, err := thisPod(Env{Getenv: func(name string) string { return given[name] }})
	if at.run != "r" || at.job != "u" || at.address != "10.0.0.1" || at.token != "t" || err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("%+v, %v", at, err)
	}
}

// In a cluster whose pods are asked for at IPv6 addresses nothing is started: what a run starts would not be reached.
func TestReached(t *testing.T) {
	for address, reached := range map[string]bool{"10.0.0.1": true, "::ffff:10.0.0.1": true, "fd00::5": false} {
		err := conductRun(t.Context(), Env{Assets: os.DirFS("../.."), Getenv: func(string) string { return "" }}, conductFlags{}, "no-such-plan.yaml", controllerPod{address: address}, nil)
		if err == nil || strings.Contains(err.Error(), "IPv6") == reached || !reached && exitStatus(err) != exitPrerequisite {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The controller's pod stays until everything was fetched, for a day at most, and ends when it is asked to.
func TestLinger(t *testing.T) {
	fetched := make(chan struct{})
	close(fetched)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx     context.Context
		fetched <-chan struct{}
		want    time.Duration
	}{
		"fetched":     {t.Context(), fetched, 0},
		"asked to":    {ended, nil, 0},
		"not fetched": {context.Background(), nil, 24 * time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			linger(c.ctx, c.fetched)
			if took := time.Since(began); took != c.want {
				t.Errorf("%s: %v, want %v", name, took, c.want)
			}
		})
	}
}

// A controller whose image has no JMeter says so before anything is started.
func TestOpenPod(t *testing.T) {
	p := &plan.Plan{Phases: []plan.Phase{{Engine: plan.Native}}, Kubernetes: plan.Kubernetes{Registry: "r.example", Tag: "1"}}
	env := Env{Getenv: func(string) string { return "" }}
	if here, err := openPod(t.Context(), env, p); err != nil || here.Platform != nil || here.Close() != nil {
		t.Errorf("%v, %v", here, err)
	}
	p.Phases[0].Engine = plan.JMeter
	if _, err := openPod(t.Context(), env, p); err == nil || !strings.Contains(err.Error(), "the image r.example/jmeter:1 is none of JMeter") || exitStatus(err) != exitPrerequisite {
		t.Errorf("%v", err)
	}
}

// How a run ended elsewhere is what it would have been here.
func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		err  error
		want remote.Outcome
	}{
		{nil, remote.Outcome{}},
		{fmt.Errorf("%w: flask has none", controller.ErrTooFewValid), remote.Outcome{Error: controller.ErrTooFewValid.Error() + ": flask has none", Exit: exitTooFew}},
		{errors.Join(controller.ErrInterrupted), remote.Outcome{Error: "interrupted", Exit: exitInterrupted}},
		{misused("do it otherwise", "wrong"), remote.Outcome{Error: "wrong", Hint: "do it otherwise", Exit: exitUsage}},
	} {
		if got := outcome(c.err); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
}
