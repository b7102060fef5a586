package kubetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// API is an API of a cluster for tests: it keeps objects as they come, and looks at nothing in them but names and labels. No
// controller of a cluster runs; Applied does what one would. It is safe for concurrent use.
type API struct {
	URL string
	// Proxy answers what is asked of pods through the API.
	Proxy http.Handler
	// Denied are the rights that nobody has, such as "create pods/proxy".
	Denied map[string]bool
	// Refused are what the API says of objects that it does not take, by name.
	Refused map[string]string
	// Applied is called with every object that is applied, after it is there; it may put others. Nil: nobody does anything.
	Applied func(object map[string]any)
	// Keeps are the objects, by place, that stay when they are removed, marked as being removed, until they are dropped.
	Keeps map[string]bool
	// Before is asked before every request; what it returns other than 0 is the answer's status. Nil: nothing is.
	Before func(method, path string) int

	mu       sync.Mutex
	objects  map[string]map[string]any // by path
	requests []string
	made     int
}

// NewAPI serves one until the test ends.
func NewAPI(t testing.TB) *API {
	t.Helper()
	a := &API{objects: map[string]map[string]any{}}
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

// Kubeconfig writes the file that leads to it, and returns its path; its context is named as given.
func (a *API) Kubeconfig(t testing.TB, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: %[1]s
clusters: [{name: %[1]s, cluster: {server: %[2]q}}]
contexts: [{name: %[1]s, context: {cluster: %[1]s, user: %[1]s}}]
users: [{name: %[1]s, user: {token: t}}]
`, name, a.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Put puts an object at its place, such as /api/v1/namespaces/n/pods/p.
func (a *API) Put(at string, object map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(at, object)
}

func (a *API) put(at string, object map[string]any) {
	a.made++
	meta, _ := object["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		object["metadata"] = meta
	}
	meta["name"] = path.Base(at)
	if namespace, _, ok := cutNamespace(at); ok && meta["namespace"] == nil {
		meta["namespace"] = namespace
	}
	if meta["uid"] == nil {
		meta["uid"] = fmt.Sprintf("uid-%d", a.made)
	}
	a.objects[at] = object
}

// Objects are the places of all objects that are there, sorted.
func (a *API) Objects() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.objects))
}

// Requests are all that were made, such as "GET /api/v1/namespaces/n/pods", without those of the proxy.
func (a *API) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	if before, _, ok := strings.Cut(r.URL.Path, "/proxy/"); ok && strings.Contains(before, "/pods/") {
		http.StripPrefix(before+"/proxy", a.Proxy).ServeHTTP(w, r)
		return
	}
	if a.Before != nil {
		if status := a.Before(r.Method, r.URL.Path); status != 0 {
			refuse(w, status, "Forbidden", "refused by the test")
			return
		}
	}
	a.mu.Lock()
	a.requests = append(a.requests, r.Method+" "+r.URL.Path)
	a.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		a.review(w, r)
	case r.Method == http.MethodGet:
		a.get(w, r)
	case r.Header.Get("Content-Type") == "application/merge-patch+json":
		a.merge(w, r)
	case r.Method == http.MethodPatch, r.Method == http.MethodPost:
		a.take(w, r)
	case r.Method == http.MethodDelete:
		a.remove(w, r.URL.Path)
	}
}

func (a *API) review(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Spec struct {
			ResourceAttributes struct{ Verb, Resource, Subresource string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	of := ask.Spec.ResourceAttributes
	what := of.Verb + " " + of.Resource
	if of.Subresource != "" {
		what += "/" + of.Subresource
	}
	write(w, http.StatusCreated, map[string]any{"status": map[string]any{"allowed": !a.Denied[what]}})
}

func (a *API) get(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pod, ok := strings.CutSuffix(r.URL.Path, "/log"); ok {
		fmt.Fprintf(w, "log of %s, %s\n", path.Base(pod), r.URL.Query().Get("container"))
		return
	}
	if object := a.objects[r.URL.Path]; object != nil {
		write(w, http.StatusOK, object)
		return
	}
	selector := r.URL.Query().Get("labelSelector")
	switch {
	case named(r.URL.Path):
		refuse(w, http.StatusNotFound, "NotFound", path.Base(r.URL.Path)+" not found")
	default:
		items := []any{}
		for _, at := range slices.Sorted(maps.Keys(a.objects)) {
			if listed(at, r.URL.Path) && selects(selector, labelsOf(a.objects[at])) {
				items = append(items, a.objects[at])
			}
		}
		write(w, http.StatusOK, map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": items})
	}
}

// cutNamespace takes the namespace out of a place: "n", and "/apis/batch/v1/jobs/j" of "/apis/batch/v1/namespaces/n/jobs/j".
func cutNamespace(at string) (namespace, rest string, ok bool) {
	before, after, ok := strings.Cut(at, "/namespaces/")
	namespace, inside, deeper := strings.Cut(after, "/")
	return namespace, path.Join(before, inside), ok && deeper
}

// listed reports whether what is at a place is in a list: in that of its namespace, and in that of all.
func listed(at, list string) bool {
	_, everywhere, ok := cutNamespace(at)
	return path.Dir(at) == list || ok && path.Dir(everywhere) == list
}

// named reports whether a place is that of one object.
func named(at string) bool {
	parts := strings.Split(strings.Trim(at, "/"), "/")
	if i := slices.Index(parts, "namespaces"); i >= 0 {
		return len(parts)-i == 2 || len(parts)-i == 4
	}
	return false
}

// selects reports whether labels have what a selector lists: name=value, or a name alone.
func selects(selector string, labels map[string]string) bool {
	for one := range strings.SplitSeq(selector, ",") {
		name, value, equal := strings.Cut(one, "=")
		has, known := labels[name]
		if one != "" && (!known || equal && has != value) {
			return false
		}
	}
	return true
}

func labelsOf(object map[string]any) map[string]string {
	out := map[string]string{}
	meta, _ := object["metadata"].(map[string]any) // one without has no labels
	all, _ := meta["labels"].(map[string]any)      // likewise
	for name, value := range all {
		out[name] = fmt.Sprint(value)
	}
	return out
}

// take takes an object that is applied or created.
func (a *API) take(w http.ResponseWriter, r *http.Request) {
	var object map[string]any
	if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	at := r.URL.Path
	if r.Method == http.MethodPost {
		meta, _ := object["metadata"].(map[string]any) // one without has no name
		at = path.Join(at, fmt.Sprint(meta["name"]))
	}
	if why := a.Refused[path.Base(at)]; why != "" {
		refuse(w, http.StatusForbidden, "Forbidden", why)
		return
	}
	a.mu.Lock()
	there := a.objects[at] != nil
	dry := r.URL.Query().Get("dryRun") != ""
	if !dry && (!there || r.Method == http.MethodPatch) {
		a.put(at, object)
	}
	a.mu.Unlock()
	if there && r.Method == http.MethodPost {
		refuse(w, http.StatusConflict, "AlreadyExists", path.Base(at)+" already exists")
		return
	}
	if !dry && a.Applied != nil {
		a.Applied(object)
	}
	write(w, http.StatusCreated, object)
}

// merge changes what an object says of itself; a patch of another object of the same name is refused.
func (a *API) merge(w http.ResponseWriter, r *http.Request) {
	var patch struct{ Metadata map[string]any }
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	object := a.objects[r.URL.Path]
	if object == nil {
		refuse(w, http.StatusNotFound, "NotFound", path.Base(r.URL.Path)+" not found")
		return
	}
	meta, _ := object["metadata"].(map[string]any) // put made it
	if uid, asked := patch.Metadata["uid"]; asked && uid != meta["uid"] {
		refuse(w, http.StatusConflict, "Conflict", path.Base(r.URL.Path)+" is another one")
		return
	}
	maps.Copy(meta, patch.Metadata)
	write(w, http.StatusOK, object)
}

// Owners are the UIDs of those that own an object.
func (a *API) Owners(at string) (out []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	meta, _ := a.objects[at]["metadata"].(map[string]any) // what is not there has no owner
	all, _ := meta["ownerReferences"].([]any)             // likewise
	for _, one := range all {
		owner, _ := one.(map[string]any) // the API's types wrote it
		out = append(out, fmt.Sprint(owner["uid"]))
	}
	return out
}

// UID is that of an object.
func (a *API) UID(at string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	meta, _ := a.objects[at]["metadata"].(map[string]any) // what is not there has none
	uid, _ := meta["uid"].(string)
	return uid
}

// remove removes an object and what is in it or, of one that makes pods, what has its name.
func (a *API) remove(w http.ResponseWriter, at string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.objects[at] == nil {
		refuse(w, http.StatusNotFound, "NotFound", path.Base(at)+" not found")
		return
	}
	if a.Keeps[at] {
		meta, _ := a.objects[at]["metadata"].(map[string]any) // put made it
		meta["deletionTimestamp"] = "2026-11-28T12:00:00Z"
		write(w, http.StatusOK, a.objects[at])
		return
	}
	delete(a.objects, at)
	makes := strings.HasPrefix(at, "/apis/apps/") || strings.HasPrefix(at, "/apis/batch/")
	maps.DeleteFunc(a.objects, func(other string, object map[string]any) bool {
		in := path.Dir(path.Dir(at)) == "/api/v1" && strings.Contains(other, "/namespaces/"+path.Base(at)+"/")
		return in || makes && strings.Contains(other, "/pods/") && labelsOf(object)["bakeoff/name"] == path.Base(at)
	})
	write(w, http.StatusOK, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
}

func refuse(w http.ResponseWriter, status int, reason, text string) {
	write(w, status, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status, "message": text})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked is gone
}

// Drop removes an object as the cluster itself would.
func (a *API) Drop(at string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects, at)
}
