package cluster

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"bakeoff/internal/platform"
)

// Where a laptop reaches the controller of a run, and what it has to know.
const (
	LaptopPort  = laptopPort
	TokenSecret = runSecret
	TokenKey    = "token"
	// DSNKey is the key, in the same secret, of how an external database is reached, which the controller has as DSNVariable.
	DSNKey      = "dsn"
	DSNVariable = "BAKEOFF_DSN"
)

// Where this program in the pod of a server of JMeter listens, and puts the server's files.
const (
	KeeperPort = 8090
	KeeperDir  = "/run/jmeter"
)

// TestPlan is where the controller has the file of agents.jmx, next to the plan.
const (
	TestPlan     = platform.FilesDir + "/" + testPlanFile
	testPlanFile = "test-plan.jmx"
)

// mostBrought is how large all files of a workload may be together, in bytes: what a ConfigMap holds.
const mostBrought = 1 << 20

// Brings refuses a test plan that does not get to the controller as it is, together with the plan.
func Brings(given, testPlan []byte) error {
	if !utf8.Valid(testPlan) {
		return errors.New("it is not UTF-8, and would not get to the controller as it is")
	}
	if all := len(given) + len(testPlan); all > mostBrought {
		return fmt.Errorf("it and the plan are %d bytes, and what brings them to the controller holds %d", all, mostBrought)
	}
	return nil
}

// The secret of the run's samplers. The controller has the key, and signs what it asks them; they know only how to check the signature,
// as each target can read all that the sampler next to it knows.
const (
	SamplersSecret = samplersSecret
	SamplersKey    = "key"
	SamplersPublic = "public"
)

// KeptFor is how long a controller keeps the run directory for who fetches it, once the run has ended: who started it may have lost
// the way to the cluster until tomorrow.
const KeptFor = 24 * time.Hour

// Starting says how the controller of a run is to begin and to end; the zero value begins a new run.
type Starting struct {
	Resume  bool          // it waits for a run to resume
	MaxTime time.Duration // 0: no bound
}

// flags are those of the controller's program.
func (s Starting) flags() []string {
	var out []string
	if s.Resume {
		out = append(out, "--resume")
	}
	if s.MaxTime > 0 {
		out = append(out, "--max-time", s.MaxTime.String())
	}
	return out
}

// ByController are the names of the objects that the controller applies, and owns. The rest is applied by who starts the run.
func ByController(s platform.Scope, workloads []platform.Workload) map[string]bool {
	out := map[string]bool{}
	for _, w := range workloads {
		if w.Role != platform.RoleController {
			out[platform.ObjectName(w.Name)] = true
		}
		if w.Front.Kind != "" {
			out[platform.ObjectName(w.Front.Name)] = true
		}
	}
	for name := range s.Secrets {
		if name != TokenSecret && name != SamplersSecret {
			out[platform.ObjectName(name)] = true
		}
	}
	return out
}

// Conducts is the workload of the controller, as far as it is known without a plan.
func Conducts() platform.Workload {
	return platform.Workload{
		Name: controllerName, Role: platform.RoleController, Lifetime: platform.Once,
		Main: platform.Container{Ports: []platform.Port{{Name: "laptop", Number: laptopPort}}},
	}
}
