package plan

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"bakeoff/internal/strictyaml"
)

var (
	registryText = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)*$`)
	tagText      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	imageText    = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64})$`)
	objectText   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	labelKey     = regexp.MustCompile(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	labelValue   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$`)
)

// kubernetes looks at what a run in a cluster needs.
func (c *checker) kubernetes() {
	if !c.has("kubernetes") || c.bad("kubernetes") {
		return
	}
	k := c.plan.Kubernetes
	if c.has("kubernetes.registry") && !registryText.MatchString(k.Registry) {
		c.report("kubernetes.registry", "such as registry.example/bakeoff", "%s is not the address of a registry", strictyaml.Quote(k.Registry))
	}
	if !tagText.MatchString(k.Tag) {
		c.report("kubernetes.tag", "", "%s is not a tag", strictyaml.Quote(k.Tag))
	}
	if k.Tag == "latest" {
		c.report("kubernetes.tag", "such as 1", "latest is not one image: nodes may have different ones under it")
	}
	c.images("kubernetes.images", k)
	c.object("kubernetes.pull_secret", k.PullSecret)
	c.word("kubernetes.spread", k.Spread, OnePerNode, AnyNode)
	c.prose("kubernetes.allow_colocated", k.AllowColocated)
	if c.has("kubernetes.allow_colocated") && utf8.RuneCountInString(strings.TrimSpace(k.AllowColocated)) < 10 {
		c.report("kubernetes.allow_colocated", "", "must be a reason of at least 10 characters: every report shows it")
	}
	c.resources("kubernetes.resources", k.Resources)
	c.storage("kubernetes.storage", k.Storage)
	c.pods("kubernetes.pods", k.Pods)
}

// images wants one for each name, and none for a name of nothing.
func (c *checker) images(at string, k Kubernetes) {
	names, folder := c.plan.Images()
	for _, name := range sortedKeys(k.Images) {
		key, image := strictyaml.Join(at, name), k.Images[name]
		switch {
		case !folder && !slices.Contains(names, name):
			c.report(key, hintOf(name, names), "the plan has no image of that name")
		case strings.HasSuffix(image, ":latest"):
			c.report(key, "", "latest is not one image: nodes may have different ones under it")
		case !imageText.MatchString(image) || len(image) > 500:
			c.report(key, "such as mysql:8.0, or with @sha256:", "%s is not an image with a tag or a digest", strictyaml.Quote(image))
		}
	}
	if k.Registry != "" || c.bad("kubernetes.registry") {
		return
	}
	for _, name := range names {
		if _, ok := k.Images[name]; !ok {
			c.report("kubernetes.registry", "such as registry.example/bakeoff", "is missing: images has nothing for %s", name)
			return
		}
	}
}

func hintOf(name string, known []string) string {
	if hint := strictyaml.Suggest(name, known); hint != "" {
		return hint
	}
	return "known are " + strings.Join(known, ", ")
}

// Images are the names of the images that a run of the plan in a cluster needs, sorted; that of a recipe in a folder, which
// may have another name than its folder, is not known here.
func (p *Plan) Images() (names []string, folder bool) {
	names = []string{"bakeoff"}
	for _, t := range p.Targets {
		switch {
		case t.Kind == KindURL, t.Driver():
		case t.Folder():
			names, folder = append(names, path.Base(t.Recipe)), true
		default:
			names = append(names, t.Recipe)
		}
	}
	if !p.Running() {
		if p.Database.Kind == "private" {
			names = append(names, "database")
		}
		if p.Balancer.Kind == "nginx" {
			names = append(names, "nginx")
		}
	}
	if p.Collect.InfluxDB.Kind == KindManaged {
		names = append(names, "influxdb")
	}
	if p.Uses(JMeter) {
		names = append(names, "jmeter")
	}
	slices.Sort(names)
	return slices.Compact(names), folder
}

// Image is the reference of an image by its name.
func (k Kubernetes) Image(name string) string {
	if image, ok := k.Images[name]; ok {
		return image
	}
	return k.Registry + "/" + name + ":" + k.Tag
}

func (c *checker) object(at, name string) {
	if c.has(at) && !objectText.MatchString(name) {
		c.report(at, "", "%s is not the name of an object: at most 253 characters of a-z, 0-9, - and .", strictyaml.Quote(name))
	}
}

func (c *checker) resources(at string, r Resources) {
	if c.plan.Running() {
		for _, key := range []string{".database", ".target", ".balancer"} {
			c.absent(at+key, "is for kind: recipe; a running server is only asked")
		}
	}
	if !c.plan.Running() && c.plan.Database.Kind != "private" {
		c.absent(at+".database", "is for a private database")
	}
	if c.plan.Collect.InfluxDB.Kind != KindManaged {
		c.absent(at+".influxdb", "is for influxdb: managed")
	}
	if !c.plan.Uses(JMeter) {
		c.absent(at+".jmeter", "is for engine: jmeter")
	}
	for _, role := range []struct {
		key string
		of  Resource
	}{
		{"controller", r.Controller},
		{"database", r.Database},
		{"target", r.Target},
		{"balancer", r.Balancer},
		{"agent", r.Agent},
		{"influxdb", r.InfluxDB},
		{"jmeter", r.JMeter},
	} {
		key, of := at+"."+role.key, role.of
		if of.Limits.CPU != 0 && of.Limits.CPU < of.Requests.CPU {
			c.limit(key, "cpu", of.Limits.CPU, of.Requests.CPU)
		}
		if of.Limits.Memory != 0 && of.Limits.Memory < of.Requests.Memory {
			c.limit(key, "memory", of.Limits.Memory, of.Requests.Memory)
		}
	}
}

func (c *checker) limit(key, what string, limit, request fmt.Stringer) {
	c.report(key+".limits."+what, fmt.Sprintf("at least %s, or lower requests.%s", request, what), "%s is less than the pod asks for", limit)
}

func (c *checker) storage(at string, s Storage) {
	const key = ".database"
	if !c.has(at+key) || c.bad(at+key) {
		return
	}
	if c.plan.Database.Kind != "private" {
		c.report(at+key, "", "is for a private database")
	}
	c.object(at+key+".class", s.Database.Class)
	switch {
	case s.Database.Size == 0:
		c.report(at+key+".size", "such as 20Gi", "is missing")
	case s.Database.Size < gibi:
		c.report(at+key+".size", "", "must be at least %s, but is %s", gibi, s.Database.Size)
	}
}

// pods refuses what would change what is measured: a node of its own for all, and what meshes put into pods.
func (c *checker) pods(at string, p Pods) {
	for _, key := range sortedKeys(p.NodeSelector) {
		path := strictyaml.Join(at+".node_selector", key)
		switch {
		case key == "kubernetes.io/hostname":
			c.report(path, "", "would put every pod on one node")
		case !labelKey.MatchString(key) || !labelValue.MatchString(p.NodeSelector[key]):
			c.report(path, "", "is not a label")
		}
	}
	for _, key := range sortedKeys(p.Annotations) {
		path := strictyaml.Join(at+".annotations", key)
		domain, _, _ := strings.Cut(key, "/")
		switch {
		case slices.Contains(meshes, domain):
			c.report(path, "", "is set by bakeoff itself, which keeps sidecars out: they would be measured with the target")
		case domain == "bakeoff":
			c.report(path, "", "is set by bakeoff itself")
		case !labelKey.MatchString(key):
			c.report(path, "", "is not the name of an annotation")
		}
	}
	for i, t := range p.Tolerations {
		c.toleration(fmt.Sprintf("%s.tolerations[%d]", at, i), t)
	}
	c.object(at+".priority_class", p.PriorityClass)
}

// meshes are the domains of annotations that put sidecars into pods, or keep them out.
var meshes = []string{"sidecar.istio.io", "linkerd.io", "config.linkerd.io", "kuma.io", "consul.hashicorp.com"}

func (c *checker) toleration(at string, t Toleration) {
	if c.bad(at) {
		return
	}
	if c.has(at + ".operator") {
		c.word(at+".operator", t.Operator, "Equal", "Exists")
	}
	if c.has(at + ".effect") {
		c.word(at+".effect", t.Effect, "NoSchedule", "PreferNoSchedule", "NoExecute")
	}
	switch {
	case t.Key == "" && t.Operator != "Exists":
		c.report(at+".key", "or add operator: Exists", "is missing")
	case t.Key != "" && !labelKey.MatchString(t.Key):
		c.report(at+".key", "", "%s is not the key of a taint", strictyaml.Quote(t.Key))
	case t.Operator == "Exists" && t.Value != "":
		c.report(at+".value", "", "is for operator Equal")
	case !labelValue.MatchString(t.Value):
		c.report(at+".value", "", "%s is not the value of a taint", strictyaml.Quote(t.Value))
	}
}
