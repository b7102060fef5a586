package plan

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/kubernetes.md says what pods ask for where the plan does not.
func TestDocumentedRequests(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	p := &Plan{Database: Database{Kind: "private"}}
	var without Kubernetes
	without.fill(p)
	p.Phases = []Phase{{Engine: JMeter}}
	p.Collect.InfluxDB.Kind = KindManaged
	var with Kubernetes
	with.fill(p)
	for role, r := range map[string]Resource{
		"controller": without.Resources.Controller, "controller, with JMeter": with.Resources.Controller, "database": with.Resources.Database,
		"target, for each replica": with.Resources.Target, "balancer": with.Resources.Balancer, "agent": with.Resources.Agent,
		"jmeter, for each server": with.Resources.JMeter, "influxdb": with.Resources.InfluxDB,
	} {
		if line := fmt.Sprintf("\n| %s | %s | %s |\n", role, r.Requests.CPU, r.Requests.Memory); !strings.Contains(string(text), line) {
			t.Errorf("docs/kubernetes.md lacks %q", line)
		}
	}
	if limits := with.Resources.Database.Limits; limits != with.Resources.Database.Requests {
		t.Errorf("the database may use %v", limits)
	}
}
