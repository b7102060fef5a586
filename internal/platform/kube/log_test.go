package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bakeoff/internal/platform"
)

// A log goes on where its stream broke: no line is lost and none comes twice, although the API counts whole seconds, and
// lines of one time are counted.
func TestLogGoesOn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const first = "2026-01-02T03:04:05.000000001Z a\n2026-01-02T03:04:05.5Z b\n2026-01-02T03:04:05.5Z b\n"
		w := platform.Workload{Name: "agent-0", Role: platform.RoleAgent, Lifetime: platform.Once, Main: platform.Container{Image: "i"}}
		s := newSite(t, w)
		var asked []url.Values
		s.logs = func(_ string, q url.Values) (io.ReadCloser, error) {
			asked = append(asked, q)
			switch len(asked) {
			case 1:
				return io.NopCloser(strings.NewReader(first + "2026-01-02T03:04:05.6Z half of a li")), nil
			case 2:
				return nil, errors.New("connection reset")
			case 3:
				return io.NopCloser(strings.NewReader(first + "2026-01-02T03:04:05.5Z b\n2026-01-02T03:04:05.6Z half of a line\n2026-01-02T03:04:07Z " + strings.Repeat("x", 3*longestPart) + "\n")), nil
			}
			return io.NopCloser(strings.NewReader("unable to retrieve container logs\n2026-01-02T03:04:08Z the end")), nil
		}
		r := s.run(t, Options{})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, dir)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1200 * time.Millisecond)
		s.change(t, pods[0].Placement().Pod, func(p *core.Pod) {
			p.Status.ContainerStatuses[0].State = core.ContainerState{Terminated: &core.ContainerStateTerminated{}}
		})
		<-pods[0].Done()
		if err := r.Remove(t.Context(), w.Name); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(pods[0].Log())
		if want := "a\nb\nb\nb\nhalf of a line\n" + strings.Repeat("x", 3*longestPart) + "\nthe end"; err != nil || string(text) != want {
			t.Errorf("%.60q of %d bytes, want %.60q of %d, %v", text, len(text), want, len(want), err)
		}
		if len(asked) != 4 || asked[0].Has("sinceTime") || asked[2].Get("sinceTime") != "2026-01-02T03:04:05Z" || asked[3].Get("sinceTime") != "2026-01-02T03:04:07Z" {
			t.Errorf("asked for %v", asked)
		}
	})
}

// Where a container was started again, the rest of the log is that of the one which ended.
func TestLogOfReplaced(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := django()
		w.Copies = 1
		s := newSite(t, w)
		out, in := io.Pipe()
		s.logs = func(_ string, q url.Values) (io.ReadCloser, error) {
			if q.Get("previous") == "true" && !q.Has("follow") {
				return io.NopCloser(strings.NewReader("2026-01-02T03:04:05Z a\n2026-01-02T03:04:06Z last words\n")), nil
			}
			return out, nil
		}
		r := s.run(t, Options{})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, dir)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(in, "2026-01-02T03:04:05Z a\n") // to its reader
		s.change(t, pods[0].Placement().Pod, func(p *core.Pod) {
			c := &p.Status.ContainerStatuses[0]
			c.RestartCount, c.ContainerID, c.LastTerminationState.Terminated = 1, "containerd://other", &core.ContainerStateTerminated{ExitCode: 1}
		})
		<-pods[0].Done()
		_ = in.Close() // as the node does
		synctest.Wait()
		if text, err := os.ReadFile(filepath.Join(dir, "django-1.log")); err != nil || string(text) != "a\nlast words\n" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

// Without the right to read logs nothing is deployed: the run could not say why a target fails.
func TestLogForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		s.logs = func(pod string, _ url.Values) (io.ReadCloser, error) {
			return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods/log"}, pod, errors.New("no such right"))
		}
		r := s.run(t, Options{})
		defer r.Close()
		_, err := r.Deploy(t.Context(), w, t.TempDir())
		if reason, ok := asReason(err); !ok || !strings.Contains(reason.Text, "the log of the pod bakeoff-target-django-2 cannot be followed") {
			t.Errorf("%v", err)
		}
		began := time.Now()
		if err := r.Remove(t.Context(), w.Name); err != nil || time.Since(began) > time.Second {
			t.Errorf("removed after %s: %v", time.Since(began), err)
		}
	})
}

// Events of the run's objects are passed on, once each; those of others and of earlier runs are not.
func TestEventsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		s.events = []core.Event{
			{InvolvedObject: core.ObjectReference{Kind: "Pod", Name: "bakeoff-a"}, Reason: "Pulled", Message: "in\n 1 s"},
			{InvolvedObject: core.ObjectReference{Kind: "Pod", Name: "theirs"}, Reason: "Pulled"},
		}
		old := said("Pod", "bakeoff-old", "Killing", "")[0]
		old.Name, old.Namespace, old.UID = "old", "ns", "old"
		if err := s.Tracker().Create(eventsResource, &old, "ns"); err != nil {
			t.Fatal(err)
		}
		var lines []string
		r := s.run(t, Options{Note: func(line string) { lines = append(lines, line) }})
		if _, err := r.Deploy(t.Context(), w, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.Close()
		if len(lines) != 1 || lines[0] != "Pod bakeoff-a: Pulled: in 1 s" {
			t.Errorf("%q", lines)
		}
	})
}

// What the API does not answer is tried again; what it refuses is not.
func TestApplyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		tries := 0
		s.refuse = func(r *http.Request) error {
			if r.Method != http.MethodPatch {
				return nil
			}
			switch tries++; tries {
			case 1:
				return errors.New("connection refused")
			case 2:
				return apierrors.NewInternalError(errors.New("etcd has no leader"))
			case 3:
				return nil
			}
			return apierrors.NewForbidden(schema.GroupResource{Resource: "deployments", Group: "apps"}, "x",
				errors.New(`User "system:serviceaccount:ns:bakeoff-controller" cannot patch resource "deployments" in API group "apps" in the namespace "ns"`))
		}
		r := s.run(t, Options{})
		defer r.Close()
		_, err := r.Deploy(t.Context(), w, "")
		want := "target django: system:serviceaccount:ns:bakeoff-controller may not patch deployments in ns: kubectl auth can-i patch deployments.apps -n ns --as=system:serviceaccount:ns:bakeoff-controller"
		if err == nil || err.Error() != want || tries != 4 {
			t.Errorf("after %d tries: %v", tries, err)
		}
	})
}

// A log whose end does not come is given up; its file does not change any more, whatever comes later.
func TestLogIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := django()
		s := newSite(t, w)
		var feeds []*io.PipeWriter
		var mu sync.Mutex
		s.logs = func(string, url.Values) (io.ReadCloser, error) {
			out, in := io.Pipe()
			mu.Lock()
			feeds = append(feeds, in)
			mu.Unlock()
			return out, nil
		}
		r := s.run(t, Options{})
		defer r.Close()
		pods, err := r.Deploy(t.Context(), w, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, feed := range feeds {
			fmt.Fprint(feed, "2026-01-02T03:04:05.000000001Z said\n")
		}
		if err := r.Remove(t.Context(), w.Name); err != nil {
			t.Fatal(err)
		}
		for _, feed := range feeds {
			if _, err := fmt.Fprint(feed, "2026-01-02T03:04:06.000000001Z later\n"); err == nil {
				t.Error("it is still read")
			}
		}
		for _, p := range pods {
			if text, err := os.ReadFile(p.Log()); err != nil || string(text) != "said\n" {
				t.Errorf("%s: %q, %v", p.Name(), text, err)
			}
		}
	})
}
