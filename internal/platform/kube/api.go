package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"bakeoff/internal/platform"
)

// An api sends requests to a cluster's API and reads its answers, over the transport of client-go. The typed clients of client-go
// would do the same, and bring all groups of the API into the program: more than all the rest of it.
type api struct{ rest rest.Interface }

func newAPI(config *rest.Config) (api, error) {
	known := runtime.NewScheme()
	meta.AddToGroupVersion(known, schema.GroupVersion{Version: "v1"}) // the API's errors
	own := rest.CopyConfig(config)
	own.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	own.UserAgent, own.QPS = platform.Manager, -1 // the API limits who asks too much
	client, err := rest.UnversionedRESTClientFor(own)
	if err != nil {
		return api{}, fmt.Errorf("kube: %w", err)
	}
	return api{client}, nil
}

// where is an object of the API, or all of a kind where it has no name.
func where(group, namespace, plural string, more ...string) string {
	at := "/api/v1"
	if group != "" {
		at = "/apis/" + group + "/v1"
	}
	if namespace != "" {
		at = path.Join(at, "namespaces", namespace)
	}
	return path.Join(append([]string{at, plural}, more...)...)
}

// at is where the object is.
func (o Object) at() string {
	k := kinds()[rank(o.Kind)]
	return where(k.group, o.namespace, k.plural, o.Name)
}

// send sends a request and reads the answer into out, unless that is nil.
func (a api) send(ctx context.Context, r *rest.Request, out any) error {
	result := r.Do(ctx)
	if err := result.Error(); err != nil {
		return err
	}
	data, err := result.Raw()
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// get reads what is at a place.
func (a api) get(ctx context.Context, at string, query url.Values, out any) error {
	return a.send(ctx, with(a.rest.Get().AbsPath(at), query), out)
}

// stream reads an answer as it comes; the caller closes it.
func (a api) stream(ctx context.Context, at string, query url.Values) (io.ReadCloser, error) {
	return with(a.rest.Get().AbsPath(at), query).Stream(ctx)
}

// applied gives an object the fields that value has, makes it where it is not there, and reads into out how the cluster has it then.
// What others manage is not taken from them.
func (a api) applied(ctx context.Context, at string, value []byte, out any) error {
	return a.send(ctx, a.patch(at, value), out)
}

func (a api) patch(at string, value []byte) *rest.Request {
	return a.rest.Patch(types.ApplyYAMLPatchType).AbsPath(at).Param("fieldManager", platform.Manager).Body(value)
}

// create makes an object, at the place of its kind.
func (a api) create(ctx context.Context, at string, value []byte, dry bool, out any) error {
	r := a.rest.Post().AbsPath(at).Param("fieldManager", platform.Manager).SetHeader("Content-Type", runtime.ContentTypeJSON).Body(value)
	return a.send(ctx, drily(r, dry), out)
}

// merge changes the fields of an object that value has.
func (a api) merge(ctx context.Context, at string, value []byte) error {
	return a.send(ctx, a.rest.Patch(types.MergePatchType).AbsPath(at).Param("fieldManager", platform.Manager).Body(value), nil)
}

// remove deletes an object.
func (a api) remove(ctx context.Context, at string, how meta.DeleteOptions) error {
	how.TypeMeta = meta.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"}
	value, err := json.Marshal(how)
	if err != nil {
		return err
	}
	return a.send(ctx, a.rest.Delete().AbsPath(at).SetHeader("Content-Type", runtime.ContentTypeJSON).Body(value), nil)
}

func with(r *rest.Request, query url.Values) *rest.Request {
	for key, values := range query {
		for _, value := range values {
			r = r.Param(key, value)
		}
	}
	return r
}

// drily has the API look at a request as if it were carried out.
func drily(r *rest.Request, dry bool) *rest.Request {
	if dry {
		return r.Param("dryRun", meta.DryRunAll)
	}
	return r
}
