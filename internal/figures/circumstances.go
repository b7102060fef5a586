package figures

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bakeoff/internal/record"
)

// changes are what differs in a run from the first: machine, its limits and calibration, programs, database with its rows, plan,
// packages and settings. What is recorded of one run alone is a change too.
func changes(first, this Labelled) (out []Change) {
	was, is := circumstances(first.Run), circumstances(this.Run)
	names := maps.Clone(was)
	maps.Copy(names, is)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if was[name] != is[name] {
			out = append(out, Change{Run: this.Label, What: name, First: was[name], This: is[name]})
		}
	}
	return out
}

// circumstances are what the figures of a run may depend on, by name.
func circumstances(r record.Run) map[string]string {
	out := map[string]string{
		"bakeoff": r.Bakeoff, "machine: shared": strconv.FormatBool(r.Shared), "short": strconv.FormatBool(r.Short),
		"balancer": r.Balancer.Kind + " " + r.Balancer.Version, "calibration": calibration(r.Calibration),
	}
	for name, value := range r.Balancer.Settings {
		out["balancer: "+name] = value
	}
	for _, p := range r.Programs {
		out["program: "+p.Name] = fmt.Sprintf("%s, SHA-256 %.16s", p.Version, p.SHA256)
	}
	maps.Copy(out, machine(r.Machine))
	maps.Copy(out, database(r.Database))
	for _, t := range r.Targets {
		maps.Copy(out, deployed(t))
	}
	var plan any
	if json.Unmarshal(r.Plan, &plan) == nil {
		flatten(out, "plan: ", "", plan)
	}
	return out
}

func machine(m record.Machine) map[string]string {
	return map[string]string{
		"machine: fingerprint": m.Fingerprint, "machine: CPU": m.CPU, "machine: cores": strconv.Itoa(m.Cores), "machine: microcode": m.Microcode,
		"machine: memory": fmt.Sprintf("%d bytes", m.MemoryBytes), "machine: kernel": m.Kernel, "machine: OS": m.OS, "machine: governor": m.Governor,
		"machine: virtual": m.Virtual, "machine: limits": limitsOf(m.Limits),
	}
}

// limitsOf are those that are known.
func limitsOf(l record.Limits) string {
	var out []string
	add := func(name string, value any, known bool) {
		if known {
			out = append(out, fmt.Sprintf("%s %v", name, value))
		}
	}
	add("CPU quota", l.CPUQuota, l.CPUQuota > 0)
	add("open files", l.OpenFiles, l.OpenFiles > 0)
	add("processes", l.Processes, l.Processes > 0)
	add("local ports", l.LocalPorts, l.LocalPorts != "")
	add("listen backlog", l.Backlog, l.Backlog != "")
	add("huge pages", l.HugePages, l.HugePages != "")
	add("SMT", l.SMT, l.SMT != "")
	return strings.Join(out, ", ")
}

func database(d record.DatabaseInfo) map[string]string {
	out := map[string]string{
		"database: server": strings.TrimSpace(d.Kind + " " + d.Vendor + " " + d.Version), "database: collation": d.Collation, "database: rows": strconv.FormatInt(d.Rows, 10),
		"database: digest of the rows": d.Digest, "database: most connections": strconv.Itoa(d.MaxConnections), "database: statements counted by": d.Counter,
	}
	for name, value := range d.Settings {
		out["database: "+name] = value
	}
	return out
}

func deployed(t record.TargetInfo) map[string]string {
	of := t.Name + ": "
	out := map[string]string{
		of + "recipe": strings.Join(strings.Fields(t.Recipe+" "+t.Variant+" "+t.Server), " "), of + "digest of the recipe": t.Digest, of + "replicas": strconv.Itoa(t.Replicas),
		of + "workers": strconv.Itoa(t.Workers), of + "protocol": t.Protocol, of + "URL": t.URL, of + "address": t.Address,
	}
	if t.Pool != nil {
		out[of+"pool"] = strconv.Itoa(*t.Pool)
	}
	if t.AccessLog != nil {
		out[of+"access log"] = strconv.FormatBool(*t.AccessLog)
	}
	for name, value := range t.Versions {
		out[of+name] = value
	}
	for _, s := range t.Settings {
		out[of+"setting "+s.Name] = s.Value
	}
	return out
}

// calibration is that of the machine when the run began; empty: there was none.
func calibration(c *record.Calibration) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("of %s, ceiling %.0f/s through nginx and %.0f/s directly, noise %.3g", c.At.UTC().Format("2006-01-02 15:04"),
		c.Ceilings[record.PathNginx], c.Ceilings[record.PathDirect], c.Noise.SD)
}

// flatten puts every single value of a tree under its path.
func flatten(out map[string]string, prefix, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, each := range v {
			next := key
			if path != "" {
				next = path + "." + key
			}
			flatten(out, prefix, next, each)
		}
	case []any:
		for i, each := range v {
			flatten(out, prefix, fmt.Sprintf("%s[%d]", path, i), each)
		}
	default:
		out[prefix+path] = fmt.Sprint(v)
	}
}
