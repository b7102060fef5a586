package kubetest

import "testing"

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
}
