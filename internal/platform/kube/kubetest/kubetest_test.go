package kubetest

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The schemas are cut from others' work, whose licence comes with them.
func TestSchemasLicence(t *testing.T) {
	text, err := os.ReadFile("LICENSE")
	if err != nil || !bytes.Contains(text, []byte("Apache License\n")) || !bytes.Contains(text, []byte("Version 2.0, January 2004\n")) {
		t.Errorf("%v, %.80q", err, text)
	}
}

// The schemas refuse what an API server would, and take what it takes.
func TestSchemasRefuse(t *testing.T) {
	const good = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"clusterIP":"None","ports":[{"port":80,"targetPort":"http"},{"port":81,"targetPort":8081}]}}`
	c, err := compiler()
	if err != nil {
		t.Fatal(err)
	}
	if err := check(c, "Service", []byte(good)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"clusterIp":"None"}}`,
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":"80"}]}}`,
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"name":"http"}]}}`,
		`{"apiVersion":"v1","kind":"Service","metadata":{"labels":{"a":1}}}`,
	} {
		if err := check(c, "Service", []byte(bad)); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
	if err := check(c, "Pod", []byte(good)); err == nil {
		t.Error("a kind without a schema is accepted")
	}
	const route = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"a"},"spec":{"parentRefs":[{"name":"g"}],"hostnames":["a.example"]}}`
	if err := check(c, "HTTPRoute", []byte(route)); err != nil {
		t.Error(err)
	}
	for _, change := range []string{`"parentRefs":[{"name":1}]`, `"parentRefs":[{"namespace":"n"}]`, `"parentRefs":[{"name":"g","gateway":"g"}]`, `"parents":[]`} {
		bad := strings.Replace(route, `"parentRefs":[{"name":"g"}]`, change, 1)
		if err := check(c, "HTTPRoute", []byte(bad)); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
	if err := check(c, "HTTPRoute", []byte(strings.Replace(route, "a.example", "A_b", 1))); err == nil {
		t.Error("accepted: a host that is none")
	}
}
