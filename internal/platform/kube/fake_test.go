package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
)

// A fakeServer answers requests out of client-go's typed fake clientset, as an API server would: the requests are real, no network
// is between them and it.
type fakeServer struct {
	*fake.Clientset
	// refuse is why a request is not answered; warn is what is warned of with its answer; logs is the log of a pod. All may be nil.
	refuse func(*http.Request) error
	warn   func(*http.Request) string
	logs   func(pod string, query url.Values) (io.ReadCloser, error)

	mu      sync.Mutex
	away    bool
	streams []io.Closer
}

func newFakeServer(objects ...runtime.Object) *fakeServer {
	return &fakeServer{Clientset: fake.NewClientset(objects...)}
}

// fakeCluster is the API of a fake server.
func fakeCluster(t *testing.T, f *fakeServer) *Cluster {
	t.Helper()
	c, err := open(&rest.Config{Host: "http://fake", Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// apply applies one object; dry changes nothing. A secret is created, as a controller does.
func (c *Cluster) apply(ctx context.Context, o Object, dry bool) error {
	value, err := o.JSON()
	if err != nil {
		return err
	}
	if o.Kind == "Secret" {
		err := c.api.create(ctx, path.Dir(o.at()), value, dry, nil)
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return c.api.send(ctx, drily(c.api.patch(o.at(), value), dry), nil)
}

// leave has the server not answer, and breaks what it was answering.
func (f *fakeServer) leave(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
	for _, s := range f.streams {
		_ = s.Close() // for its reader
	}
	f.streams = nil
}

// RoundTrip implements http.RoundTripper.
func (f *fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	away := f.away
	f.mu.Unlock()
	if away || r.Context().Err() != nil {
		return nil, errors.New("connect: connection refused")
	}
	body, err := f.answer(r)
	header, code := http.Header{"Content-Type": {"application/json"}}, http.StatusOK
	if f.warn != nil {
		if text := f.warn(r); text != "" {
			header.Set("Warning", `299 - "`+text+`"`)
		}
	}
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		s := status.Status()
		s.TypeMeta = meta.TypeMeta{Kind: "Status", APIVersion: "v1"}
		data, _ := json.Marshal(s)
		body, code = io.NopCloser(bytes.NewReader(data)), int(s.Code)
	case err != nil:
		return nil, err
	}
	context.AfterFunc(r.Context(), func() { _ = body.Close() }) // as a connection ends with its request
	return &http.Response{StatusCode: code, Header: header, Body: body, Request: r}, nil
}

// A place is what a request is about.
type place struct {
	resource  schema.GroupVersionResource
	kind      schema.GroupVersionKind
	namespace string
	name, sub string
	body      []byte
	query     url.Values
	patch     types.PatchType
}

// read finds out what a request is about: /apis/GROUP/v1/namespaces/NS/PLURAL/NAME/SUB.
func (f *fakeServer) read(r *http.Request) (place, error) {
	p := place{query: r.URL.Query(), patch: types.PatchType(r.Header.Get("Content-Type"))}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[0] == "apis" {
		p.resource.Group, parts = parts[1], parts[1:]
	}
	p.resource.Version, parts = parts[1], parts[2:]
	if len(parts) > 2 && parts[0] == "namespaces" {
		p.namespace, parts = parts[1], parts[2:]
	}
	parts = append(parts, "", "")
	p.resource.Resource, p.name, p.sub = parts[0], parts[1], parts[2]
	all := map[string]string{"pods": "Pod", "events": "Event", "selfsubjectaccessreviews": "SelfSubjectAccessReview"}
	for _, k := range kinds() {
		all[k.plural] = k.name
	}
	p.kind = p.resource.GroupVersion().WithKind(all[p.resource.Resource])
	if r.Body == nil {
		return p, nil
	}
	var err error
	p.body, err = io.ReadAll(r.Body)
	return p, err
}

// answer is the body of an answer.
func (f *fakeServer) answer(r *http.Request) (io.ReadCloser, error) {
	if f.refuse != nil {
		if err := f.refuse(r); err != nil {
			return nil, err
		}
	}
	p, err := f.read(r)
	if err != nil {
		return nil, err
	}
	switch {
	case p.sub == "log":
		return f.logs(p.name, p.query)
	case p.query.Get("watch") == "true":
		return f.watch(p)
	}
	object, err := f.act(r.Method, p)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(object)
	return io.NopCloser(bytes.NewReader(data)), err
}

// act does what a request asks for, with the fake's own actions.
func (f *fakeServer) act(method string, p place) (runtime.Object, error) {
	var dry []string
	if p.query.Has("dryRun") {
		dry = []string{p.query.Get("dryRun")}
	}
	switch {
	case p.resource.Group == groupRoute && (method == http.MethodPatch || method == http.MethodPost): // the clientset knows none
		route := &unstructured.Unstructured{}
		return route, route.UnmarshalJSON(p.body)
	case p.resource.Group == groupRoute:
		return nil, apierrors.NewNotFound(p.resource.GroupResource(), p.name)
	case method == http.MethodGet && p.name == "":
		return f.list(p)
	case method == http.MethodGet:
		return f.Invokes(clienttesting.NewGetAction(p.resource, p.namespace, p.name), nil)
	case method == http.MethodDelete:
		var how meta.DeleteOptions
		if err := json.Unmarshal(p.body, &how); err != nil {
			return nil, err
		}
		_, err := f.Invokes(clienttesting.NewDeleteActionWithOptions(p.resource, p.namespace, p.name, how), nil)
		return &meta.Status{}, err
	case method == http.MethodPatch:
		how := meta.PatchOptions{FieldManager: p.query.Get("fieldManager"), DryRun: dry}
		return f.Invokes(clienttesting.NewPatchActionWithOptions(p.resource, p.namespace, p.name, p.patch, p.body, how), nil)
	}
	object, err := scheme.Scheme.New(p.kind)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(p.body, object); err != nil {
		return nil, err
	}
	how := meta.CreateOptions{FieldManager: p.query.Get("fieldManager"), DryRun: dry}
	return f.Invokes(clienttesting.NewCreateActionWithOptions(p.resource, p.namespace, object, how), nil)
}

// list is all that the selector selects; the fake itself has none.
func (f *fakeServer) list(p place) (runtime.Object, error) {
	list, err := f.Invokes(clienttesting.NewListAction(p.resource, p.kind, p.namespace, meta.ListOptions{}), nil)
	if err != nil {
		return nil, err
	}
	items, err := apimeta.ExtractList(list)
	if err != nil {
		return nil, err
	}
	var kept []runtime.Object
	for _, item := range items {
		if p.selects(item) {
			kept = append(kept, item)
		}
	}
	return list, apimeta.SetList(list, kept)
}

func (p place) selects(object runtime.Object) bool {
	selector, err := labels.Parse(p.query.Get("labelSelector"))
	if err != nil {
		return false
	}
	head, err := apimeta.Accessor(object)
	return err == nil && selector.Matches(labels.Set(head.GetLabels()))
}

// watch streams changes as an API server does.
func (f *fakeServer) watch(p place) (io.ReadCloser, error) {
	changes, err := f.InvokesWatch(clienttesting.NewWatchActionWithOptions(p.resource, p.namespace, meta.ListOptions{ResourceVersion: p.query.Get("resourceVersion")}))
	if err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	f.mu.Lock()
	f.streams = append(f.streams, in)
	f.mu.Unlock()
	go func() {
		defer changes.Stop()
		for change := range changes.ResultChan() {
			if change.Type != watch.Error && !p.selects(change.Object) {
				continue
			}
			object, _ := json.Marshal(change.Object)
			line, _ := json.Marshal(meta.WatchEvent{Type: string(change.Type), Object: runtime.RawExtension{Raw: object}})
			if _, err := in.Write(line); err != nil {
				return
			}
		}
	}()
	return reader{out, func() { changes.Stop(); _ = in.Close() }}, nil
}

// A reader does something more when it is closed.
type reader struct {
	io.ReadCloser
	also func()
}

func (r reader) Close() error {
	r.also()
	return r.ReadCloser.Close()
}
