package platform_test

import (
	"testing"

	"bakeoff/internal/platform"
)

// A run asks for the pods of all targets when they are up together, and for the largest target's otherwise.
func TestAsk(t *testing.T) {
	s := platform.Scope{Sampler: platform.Container{Requests: platform.Amounts{MilliCPU: 10, Bytes: 1}}}
	of := func(role, target string, copies int, cpu, bytes int64, sampled bool) platform.Workload {
		return platform.Workload{
			Role: role, Target: target, Copies: copies, Sampled: sampled,
			Main: platform.Container{Requests: platform.Amounts{MilliCPU: cpu, Bytes: bytes}},
		}
	}
	database := of(platform.RoleDatabase, "", 0, 2000, 8000, true)
	database.Lifetime, database.Storage = platform.Stateful, platform.Storage{Bytes: 500}
	agent := of(platform.RoleAgent, "", 7, 1000, 100, false)
	agent.Lifetime = platform.Once // one pod, whatever its copies say
	all := []platform.Workload{
		database, agent,
		of(platform.RoleTarget, "a", 3, 100, 10, true), of(platform.RoleBalancer, "a", 1, 50, 5, false),
		of(platform.RoleTarget, "b", 2, 200, 4, true), of(platform.RoleBalancer, "b", 1, 50, 5, false),
	}
	if got, want := s.Ask(all, true), (platform.Total{Pods: 9, MilliCPU: 2010 + 1000 + 330 + 50 + 420 + 50, Bytes: 8001 + 100 + 33 + 5 + 10 + 5, Storage: 500}); got != want {
		t.Errorf("together %+v, want %+v", got, want)
	}
	// The most pods and memory are a's, the most CPU is b's.
	if got, want := s.Ask(all, false), (platform.Total{Pods: 6, MilliCPU: 2010 + 1000 + 470, Bytes: 8001 + 100 + 38, Storage: 500}); got != want {
		t.Errorf("one after another %+v, want %+v", got, want)
	}
}
