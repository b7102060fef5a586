package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"bakeoff/internal/platform"
)

// A view is what a cluster shows of a run: its pods, and the events of its objects. What it returns is never changed.
type view struct {
	mu      sync.Mutex
	pods    map[types.UID]*core.Pod
	notes   map[types.UID]note
	count   int           // of notes so far
	changed chan struct{} // closed at the next change
	see     func(pod *core.Pod, gone bool)
	noted   func(note)
}

// A note is an event of an object of the run: what a controller of the cluster or a node says of it.
type note struct {
	number       int // 1 is the first; an event that comes again has another
	version      string
	kind, object string
	reason, text string
}

// String is the note as a line of a log.
func (n note) String() string {
	return fmt.Sprintf("%s %s: %s: %s", n.kind, n.object, n.reason, n.text)
}

// newView calls see with every pod that comes, changes or goes.
func newView(see func(pod *core.Pod, gone bool)) *view {
	return &view{pods: map[types.UID]*core.Pod{}, notes: map[types.UID]note{}, changed: make(chan struct{}), see: see}
}

// next is closed at the next change.
func (v *view) next() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// turn says that something has changed.
func (v *view) turn() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.changed)
	v.changed = make(chan struct{})
}

// of are the pods of a workload's object in the order of their nodes, those that are being removed included.
func (v *view) of(object string) []*core.Pod {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []*core.Pod
	for _, pod := range v.pods {
		if pod.Labels[labelName] == object {
			out = append(out, pod)
		}
	}
	slices.SortFunc(out, func(a, b *core.Pod) int {
		return cmp.Or(strings.Compare(a.Spec.NodeName, b.Spec.NodeName), strings.Compare(a.Name, b.Name))
	})
	return out
}

// pod is one by its UID; nil: it is not there.
func (v *view) pod(uid types.UID) *core.Pod {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.pods[uid]
}

// mark is the number of the last note.
func (v *view) mark() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.count
}

// since are the notes after a mark, in the order in which they came.
func (v *view) since(mark int) []note {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []note
	for _, n := range v.notes {
		if n.number > mark {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b note) int { return a.number - b.number })
	return out
}

// putPod takes a pod as it is now, or was when it went.
func (v *view) putPod(pod *core.Pod, gone bool) {
	v.mu.Lock()
	if gone {
		delete(v.pods, pod.UID)
	} else {
		v.pods[pod.UID] = pod
	}
	v.mu.Unlock()
	v.see(pod, gone)
	v.turn()
}

// isOurs reports whether an object of that name is one of bakeoff's, or a claim of one.
func isOurs(name string) bool {
	return strings.HasPrefix(strings.TrimPrefix(name, storageName+"-"), platform.Manager+"-")
}

// putEvent takes an event of an object of ours.
func (v *view) putEvent(e *core.Event, gone bool) {
	if !isOurs(e.InvolvedObject.Name) {
		return
	}
	n, fresh := v.keep(e, gone)
	if !fresh {
		return
	}
	if v.noted != nil {
		v.noted(n)
	}
	v.turn()
}

// keep keeps an event as a note, and reports whether it says something new.
func (v *view) keep(e *core.Event, gone bool) (n note, fresh bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if gone {
		delete(v.notes, e.UID)
		return n, false
	}
	if v.notes[e.UID].version == e.ResourceVersion && e.ResourceVersion != "" {
		return n, false
	}
	v.count++
	about := e.InvolvedObject
	n = note{v.count, e.ResourceVersion, about.Kind, about.Name, e.Reason, strings.Join(strings.Fields(e.Message), " ")}
	v.notes[e.UID] = n
	return n, true
}

// A follower keeps up with all objects of one resource.
type follower[T any] struct {
	api     api
	at      string
	query   url.Values
	uid     func(*T) types.UID
	put     func(item *T, gone bool)
	refused func(error) // the API forbids it
	known   map[types.UID]*T
	version string // of the last change that was seen
}

// list reads all; what was known and is not there any more has gone.
func (f *follower[T]) list(ctx context.Context) error {
	var all struct {
		Metadata meta.ListMeta
		Items    []T
	}
	if err := f.api.get(ctx, f.at, f.query, &all); err != nil {
		return err
	}
	gone := f.known // nil before the first list
	f.known = map[types.UID]*T{}
	for i := range all.Items {
		item := &all.Items[i]
		f.known[f.uid(item)] = item
		delete(gone, f.uid(item))
		f.put(item, false)
	}
	for _, item := range gone {
		f.put(item, true)
	}
	f.version = all.Metadata.ResourceVersion
	return nil
}

// againAfter is how long a follower waits before it asks again.
const againAfter = 500 * time.Millisecond

// run follows until ctx ends. When the API was away it goes on from the last change that was seen, or reads all again where the
// API does not know that any more.
func (f *follower[T]) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.watch(ctx)
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			err = f.list(ctx)
		}
		if apierrors.IsForbidden(err) {
			f.refused(err)
		}
		if err != nil {
			pause(ctx, againAfter)
		}
	}
}

// watch takes changes as they come. A stream that ends is an error, too: the API ends each after some time.
func (f *follower[T]) watch(ctx context.Context) error {
	query := url.Values{"watch": {"true"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {f.version}}
	for key, values := range f.query {
		query[key] = values
	}
	stream, err := f.api.stream(ctx, f.at, query)
	if err != nil {
		return err
	}
	defer stream.Close() // read to its end, or given up
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	for changes := json.NewDecoder(stream); ; {
		var change struct {
			Type   watch.EventType
			Object json.RawMessage
		}
		if err := changes.Decode(&change); err != nil {
			return err
		}
		if err := f.take(change.Type, change.Object); err != nil {
			return err
		}
	}
}

// take takes one change.
func (f *follower[T]) take(how watch.EventType, object []byte) error {
	if how == watch.Error {
		var status meta.Status
		if err := json.Unmarshal(object, &status); err != nil {
			return err
		}
		return &apierrors.StatusError{ErrStatus: status}
	}
	var head struct{ Metadata meta.ListMeta }
	item := new(T)
	if err := cmp.Or(json.Unmarshal(object, &head), json.Unmarshal(object, item)); err != nil {
		return err
	}
	if head.Metadata.ResourceVersion != "" {
		f.version = head.Metadata.ResourceVersion
	}
	switch how {
	case watch.Added, watch.Modified:
		f.known[f.uid(item)] = item
		f.put(item, false)
	case watch.Deleted:
		delete(f.known, f.uid(item))
		f.put(item, true)
	}
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
