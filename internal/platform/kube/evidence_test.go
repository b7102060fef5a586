package kube

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bakeoff/internal/platform"
)

// logged is a pod of the run with a log.
func logged(name, node string) *core.Pod {
	return &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: "ns", Labels: map[string]string{labelManager: platform.Manager, labelRun: "seed-1"}},
		Spec:       core.PodSpec{NodeName: node},
		Status: core.PodStatus{ContainerStatuses: []core.ContainerStatus{
			{Name: mainName, State: core.ContainerState{Running: &core.ContainerStateRunning{}}},
		}},
	}
}

// A node that says nothing is asked for a minute, and just once more for each other log that it has; what other nodes say is kept.
func TestEvidenceOfASilentNode(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(logged("a", "node-1"), logged("b", "node-1"), logged("c", "node-2"))
		f.logs = func(pod string, _ url.Values) (io.ReadCloser, error) {
			if pod == "c" {
				return io.NopCloser(strings.NewReader("said\n")), nil
			}
			silent, _ := io.Pipe() // nobody writes into it
			return silent, nil
		}
		began := time.Now()
		found, err := fakeCluster(t, f).At("ns", "seed-1").Evidence(t.Context(), dir)
		if took := time.Since(began); err != nil || took < awayFor || took > awayFor+2*silentFor {
			t.Errorf("after %v: %v", took, err)
		}
		if len(found.Lost) != 2 || !strings.Contains(found.Lost[0], "log of a, main, on node-1: nothing has come for 20s") {
			t.Errorf("lost: %q", found.Lost)
		}
	})
	for name, want := range map[string]string{"c-main.log": "said\n", "unread.txt": "log of b, main, on node-1: "} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
