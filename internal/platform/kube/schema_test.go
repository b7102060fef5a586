package kube_test

import (
	"testing"

	"bakeoff/internal/platform/kube"
	"bakeoff/internal/platform/kube/kubetest"
)

// Objects that use every field of a workload are as the schemas of Kubernetes 1.37 say.
func TestSchemas(t *testing.T) {
	s, workloads := kube.Everything()
	objects, err := kube.Render(s, workloads)
	if err != nil {
		t.Fatal(err)
	}
	kubetest.Validate(t, objects)
}
