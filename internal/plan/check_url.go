package plan

import (
	"net/url"
	"strings"

	"bakeoff/internal/consent"
	"bakeoff/internal/strictyaml"
)

// around looks at what stands around the targets: of running servers nothing may.
func (c *checker) around() {
	p := c.plan
	if p.Running() {
		for _, key := range []string{"dataset", "database", "balancer", "deployment", "trust", "budget"} {
			c.absent(key, forRecipes)
		}
		c.absent("allow_unfair", "is for kind: recipe; of running servers no difference is refused")
		return
	}
	c.dataset()
	c.database()
	c.balancer()
	c.integer("deployment.replicas", p.Deployment.Replicas, 1, 100)
	c.integer("deployment.workers", p.Deployment.Workers, 1, 256)
	c.integer("deployment.pool", p.Deployment.Pool, 1, 10_000)
}

// forRecipes says why a key must not be given with kind: url.
const forRecipes = "is for kind: recipe; a running server is taken as it is"

// kind looks at a target as its kind asks for.
func (c *checker) kind(path string, i int, t Target) {
	if c.bad(path + ".kind") {
		return
	}
	if !known(t.Kind) {
		c.word(path+".kind", t.Kind, KindRecipe, KindURL, KindDriver)
	}
	if first := c.plan.Targets[0].Kind; known(first) && known(t.Kind) && (t.Kind == KindURL) != (first == KindURL) {
		words := map[string]string{KindURL: "a running server", "": "of a recipe", KindDriver: "a driver"}
		at := path + ".kind"
		if !c.has(at) {
			at = path
		}
		c.report(at, "make two plans", "is %s, targets[0] is %s: the targets of a plan are of one kind", words[t.Kind], words[first])
	}
	switch t.Kind {
	case KindURL:
		c.running(path, t)
	case KindDriver:
		c.driver(path, i, t)
	case "":
		c.target(path, t)
	}
}

func known(kind string) bool { return kind == "" || kind == KindURL || kind == KindDriver }

// running looks at a server that runs already.
func (c *checker) running(path string, t Target) {
	for _, key := range []string{".recipe", ".variant", ".server", ".settings", ".replicas", ".workers", ".pool", ".sweep", ".setting_of"} {
		c.absent(path+key, forRecipes)
	}
	if !c.has(path + ".name") {
		c.report(path+".name", "such as old, new", "a running server needs a name")
	} else {
		c.name(path+".name", t.Name)
	}
	if !c.has(path + ".url") {
		c.report(path+".url", "such as http://127.0.0.1:8080/ping", "kind: url needs a url")
	} else if c.url(path+".url", t.URL) {
		c.asked(path+".url", t.URL)
	}
	c.expect(path+".expect", t.Expect)
	c.tls(path+".tls", t)
}

// tls looks at how an https server is to be spoken to.
func (c *checker) tls(path string, t Target) {
	if !c.has(path) {
		return
	}
	if !strings.HasPrefix(strings.ToLower(t.URL), "https:") {
		c.report(path, "", "is for https")
	}
	for _, file := range []struct{ key, name string }{{".ca_file", t.TLS.CAFile}, {".cert_file", t.TLS.CertFile}, {".key_file", t.TLS.KeyFile}} {
		switch {
		case c.has(path+file.key) && file.name == "":
			c.report(path+file.key, "leave it out", "names no file")
		default:
			c.path(path+file.key, file.name)
		}
	}
	if (t.TLS.CertFile == "") != (t.TLS.KeyFile == "") {
		c.report(path, "", "a cert_file needs its key_file, and a key_file its cert_file")
	}
	if name := t.TLS.ServerName; c.has(path+".server_name") && (name == "" || len(name) > 253 || strings.ContainsFunc(name, odd)) {
		c.report(path+".server_name", "such as www.example.org", "%s is not the name of a server", strictyaml.Quote(name))
	}
}

// asked checks a URL as the one of a running server.
func (c *checker) asked(path, text string) {
	u, err := url.Parse(text)
	if err != nil {
		return // c.url has said so
	}
	target := u.EscapedPath()
	if u.RawQuery != "" || u.ForceQuery {
		target += "?" + u.RawQuery
	}
	_, written, _ := strings.Cut(text, "://")
	switch {
	case strings.Contains(text, "#"):
		c.report(path, "leave out the # and what follows", "must not hold a fragment: it is never sent")
	case len(text) > mostURL:
		c.report(path, "", "%d bytes are more than %d", len(text), mostURL)
	case !strings.HasSuffix(written, target) || strings.ContainsFunc(target, odd):
		c.report(path, "a space is %20", "must be percent-encoded: it is sent as it stands")
	case u.Scheme == "https":
		c.secure(path)
	}
	if err := consent.Host(u.Hostname(), c.plan.AllowHosts); err != nil {
		c.report(path, "", "%v", err)
	}
}

// secure looks whether the engine speaks https.
func (c *checker) secure(path string) {
	if c.bad("agents.engine") {
		return
	}
	for _, engine := range []string{Native, JMeter} {
		if c.plan.Agents.Engine == engine || c.plan.Uses(engine) {
			c.report(path, "add agents: {engine: http}", "https needs agents.engine http: the %s engine speaks no TLS", engine)
			return
		}
	}
}

const mostURL = 4096

// odd says what cannot be in a request line.
func odd(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r) }

func (c *checker) expect(path string, e Expect) {
	c.integer(path+".status", e.Status, 200, 599)
	switch {
	case !c.has(path + ".body"):
	case e.Body == "":
		c.report(path+".body", "leave it out where any body is right", "is empty: every body contains that")
	case len(e.Body) > 4096:
		c.report(path+".body", "", "%d bytes are more than 4096", len(e.Body))
	case e.Status == 204 || e.Status == 304:
		c.report(path+".body", "", "an answer of status %d never has a body", e.Status)
	}
}
