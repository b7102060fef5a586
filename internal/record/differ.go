package record

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Differ says in what two runs differ that figures may depend on: programs, limits and the governor of the machine, the database and
// the packages of targets; nothing where it is not known of one of them. Machines and recipes are compared apart.
func Differ(a, b Run) []string {
	var out []string
	for _, one := range a.Programs {
		for _, other := range b.Programs {
			if one.Name == other.Name && one.SHA256 != other.SHA256 {
				out = append(out, "another "+one.Name+versions(one, other))
			}
		}
	}
	var none Limits
	if a.Machine.Limits != b.Machine.Limits && a.Machine.Limits != none && b.Machine.Limits != none {
		out = append(out, "other limits")
	}
	if one, other := a.Machine.Governor, b.Machine.Governor; both(one, other) && one != "unknown" && other != "unknown" {
		out = append(out, fmt.Sprintf("another CPU governor (%s, %s)", one, other))
	}
	return slices.Concat(out, databasesDiffer(a.Database, b.Database), packagesDiffer(a.Targets, b.Targets))
}

// both reports whether two values are known, and differ.
func both(a, b string) bool { return a != "" && b != "" && a != b }

func databasesDiffer(a, b DatabaseInfo) (out []string) {
	one, other := strings.TrimSpace(a.Vendor+" "+a.Version), strings.TrimSpace(b.Vendor+" "+b.Version)
	if both(one, other) {
		out = append(out, fmt.Sprintf("another database server (%s, %s)", one, other))
	}
	if both(a.Collation, b.Collation) {
		out = append(out, fmt.Sprintf("another collation (%s, %s)", a.Collation, b.Collation))
	}
	if names := changed(a.Settings, b.Settings); len(names) > 0 {
		out = append(out, "other settings of the database ("+strings.Join(names, ", ")+")")
	}
	return out
}

func packagesDiffer(a, b []TargetInfo) (out []string) {
	for _, one := range a {
		for _, other := range b {
			if names := changed(one.Versions, other.Versions); one.Name == other.Name && len(names) > 0 {
				out = append(out, "other versions in "+one.Name+" ("+strings.Join(names, ", ")+")")
			}
		}
	}
	return out
}

// changed are the names of the values that are known of both, and differ.
func changed(a, b map[string]string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if both(a[name], b[name]) {
			names = append(names, name)
		}
	}
	return names
}

func versions(a, b Program) string {
	if a.Version == "" && b.Version == "" { // an image says none
		return ""
	}
	if a.Version == b.Version {
		return " (of the same version)"
	}
	return fmt.Sprintf(" (%s, %s)", a.Version, b.Version)
}
