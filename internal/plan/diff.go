package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"bakeoff/internal/strictyaml"
)

// Diff lists what differs from a to b, a line per value with its path, such as
// "phases[1].duration: 4s -> 5s"; empty for equal plans.
func Diff(a, b *Plan) []string {
	from, to := flat(a), flat(b)
	paths := map[string]bool{}
	for path := range from {
		paths[path] = true
	}
	for path := range to {
		paths[path] = true
	}
	var out []string
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		before, had := from[path]
		after, has := to[path]
		switch {
		case !had:
			out = append(out, fmt.Sprintf("%s: not set -> %s", path, after))
		case !has:
			out = append(out, fmt.Sprintf("%s: %s -> not set", path, before))
		case before != after:
			out = append(out, fmt.Sprintf("%s: %s -> %s", path, before, after))
		}
	}
	return out
}

// flat maps the path of every single value of a plan to its text.
func flat(p *Plan) map[string]string {
	var tree any
	if err := json.Unmarshal(p.canonical(), &tree); err != nil {
		panic(fmt.Sprintf("plan: JSON of a plan: %v", err))
	}
	out := map[string]string{}
	flatten(out, "", tree)
	// A JSON number has no room for every seed.
	out["seed"] = strconv.FormatUint(p.Seed, 10)
	out["dataset.seed"] = strconv.FormatUint(p.Dataset.Seed, 10)
	return out
}

func flatten(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			flatten(out, strictyaml.Join(path, key), item)
		}
	case []any:
		for i, item := range v {
			flatten(out, fmt.Sprintf("%s[%d]", path, i), item)
		}
	case float64:
		out[path] = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		out[path] = fmt.Sprint(v)
	}
}
