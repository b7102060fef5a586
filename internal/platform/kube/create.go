package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bakeoff/internal/platform"
)

// Taken is returned where a run would make an object whose name something else has, which stays as it is.
type Taken struct {
	Kind, Name string
	Run        string // that it is of; empty: of none
}

func (t Taken) Error() string {
	return fmt.Sprintf("kube: there is a %s %s already: %s", t.Kind, t.Name, t.whose())
}

// whose says whether a run has the object that is there, and names it.
func (t Taken) whose() string {
	if t.Run == "" {
		return "it is not of a run"
	}
	return "it is of run " + t.Run
}

// Create makes objects in their order. It changes none that is there, and fails with Taken: two runs that begin at once in a
// namespace would take each other's. Once the Job among them is there, it owns the others, so that they end with it also where nobody
// comes to remove them; a namespace can have no owner.
func (l *Laptop) Create(ctx context.Context, objects []Object) error {
	made := make([]types.UID, len(objects))
	var owner platform.Owner
	for i, o := range objects {
		uid, err := l.create(ctx, o)
		if err != nil {
			return err
		}
		if made[i] = uid; o.Kind == "Job" {
			owner = platform.Owner{Name: o.Name, UID: string(uid)}
		}
	}
	for i, o := range objects {
		if owner.UID == "" || o.Kind == "Job" || o.Kind == "Namespace" {
			continue
		}
		if err := l.adopt(ctx, o, made[i], owner); err != nil {
			return fmt.Errorf("%s %s: %w", o.Kind, o.Name, denied(err))
		}
	}
	return nil
}

// create makes one object. One of the run that is there already is what an earlier request has made, whose answer was lost.
func (l *Laptop) create(ctx context.Context, o Object) (types.UID, error) {
	value, err := o.JSON()
	if err != nil {
		return "", err
	}
	var made meta.PartialObjectMetadata
	err = insist(ctx, func(ctx context.Context) error { return l.api.create(ctx, path.Dir(o.at()), value, false, &made) })
	if apierrors.IsAlreadyExists(err) {
		return l.already(ctx, o)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", o.Kind, o.Name, denied(err))
	}
	return made.UID, nil
}

// already is the object of that name, which has to be the run's.
func (l *Laptop) already(ctx context.Context, o Object) (types.UID, error) {
	by, uid, err := l.holder(ctx, o)
	if err == nil && by.Run != l.Run {
		err = by
	}
	return uid, err
}

// holder is whose the object is that has the name of another one.
func (c *Cluster) holder(ctx context.Context, o Object) (by Taken, uid types.UID, err error) {
	by = Taken{Kind: o.Kind, Name: o.Name}
	var all []listed
	err = insist(ctx, func(ctx context.Context) (err error) {
		all, err = c.objects(ctx, kinds()[rank(o.Kind)], o.namespace, url.Values{"labelSelector": {labelManager + "=" + platform.Manager}})
		return err
	})
	for _, one := range all {
		if one.Name == o.Name {
			by.Run, uid = one.Labels[labelRun], one.UID
		}
	}
	return by, uid, err
}

// adopt gives just that object an owner.
func (l *Laptop) adopt(ctx context.Context, o Object, uid types.UID, owner platform.Owner) error {
	var patch struct {
		Metadata struct {
			UID    types.UID             `json:"uid"` // the API refuses another one
			Owners []meta.OwnerReference `json:"ownerReferences"`
		} `json:"metadata"`
	}
	patch.Metadata.UID, patch.Metadata.Owners = uid, ownedBy(owner)
	value, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return insist(ctx, func(ctx context.Context) error { return l.api.merge(ctx, o.at(), value) })
}
