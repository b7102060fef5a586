package record

import "fmt"

// Differ says in what the programs and limits of two runs differ that figures may depend on; nothing where it is not known of
// one of them. Machines, recipes and databases are compared apart.
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
	return out
}

func versions(a, b Program) string {
	if a.Version == b.Version {
		return " (of the same version)"
	}
	return fmt.Sprintf(" (%s, %s)", a.Version, b.Version)
}
