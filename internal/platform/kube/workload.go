package kube

import (
	"fmt"
	"maps"
	"slices"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bakeoff/internal/platform"
)

// storageName is that of the volume which outlives its pod.
const storageName = "storage"

// startWithin is how long pods may take to get ready when their workload does not say.
const startWithin = 2 * time.Minute

// leftFor is how long a job that makes others is there after its end.
const leftFor = 24 * time.Hour

// workload adds the objects of one workload.
func (r *renderer) workload(w platform.Workload) {
	name := platform.ObjectName(w.Name)
	head := r.named(name, r.labelsOf(w), r.owners(w)...)
	if len(w.Files) > 0 {
		r.add("ConfigMap", name, &core.ConfigMap{TypeMeta: typed("ConfigMap"), ObjectMeta: head, Data: w.Files})
	}
	if len(w.Main.Ports) > 0 {
		r.add("Service", name, &core.Service{TypeMeta: typed("Service"), ObjectMeta: head, Spec: r.service(w)})
	}
	r.front(w)
	switch w.Lifetime {
	case platform.Deployed:
		r.add("Deployment", name, &apps.Deployment{TypeMeta: typed("Deployment"), ObjectMeta: head, Spec: r.deployment(w)})
	case platform.Stateful:
		r.add("StatefulSet", name, &apps.StatefulSet{TypeMeta: typed("StatefulSet"), ObjectMeta: head, Spec: r.stateful(w)})
	case platform.Once:
		r.add("Job", name, &batch.Job{TypeMeta: typed("Job"), ObjectMeta: head, Spec: r.job(w)})
	}
}

// service gives the workload's name the addresses of its pods: no proxy is between them and who asks, which would
// share connections out by itself.
func (r *renderer) service(w platform.Workload) core.ServiceSpec {
	spec := core.ServiceSpec{ClusterIP: core.ClusterIPNone, Selector: r.selector(w), PublishNotReadyAddresses: w.Early}
	for _, p := range w.Main.Ports {
		spec.Ports = append(spec.Ports, core.ServicePort{Name: p.Name, Port: int32(p.Number), TargetPort: intstr.FromInt32(int32(p.Number))})
	}
	return spec
}

func (r *renderer) deployment(w platform.Workload) apps.DeploymentSpec {
	return apps.DeploymentSpec{
		Replicas: new(int32(w.Copies)), RevisionHistoryLimit: new(int32(0)),
		Strategy:                apps.DeploymentStrategy{Type: apps.RecreateDeploymentStrategyType},
		ProgressDeadlineSeconds: new(seconds(within(w) + time.Minute)),
		Selector:                &meta.LabelSelector{MatchLabels: r.selector(w)}, Template: r.template(w),
	}
}

func (r *renderer) stateful(w platform.Workload) apps.StatefulSetSpec {
	spec := apps.StatefulSetSpec{
		Replicas: new(int32(1)), ServiceName: platform.ObjectName(w.Name), PodManagementPolicy: apps.ParallelPodManagement,
		Selector: &meta.LabelSelector{MatchLabels: r.selector(w)}, Template: r.template(w),
	}
	if w.Storage.Bytes == 0 {
		return spec
	}
	const remove = apps.DeletePersistentVolumeClaimRetentionPolicyType
	claim := core.PersistentVolumeClaim{
		TypeMeta: meta.TypeMeta{Kind: "PersistentVolumeClaim", APIVersion: "v1"}, ObjectMeta: r.named(storageName, r.labelsOf(w)),
		Spec: core.PersistentVolumeClaimSpec{
			AccessModes: []core.PersistentVolumeAccessMode{core.ReadWriteOnce},
			Resources:   core.VolumeResourceRequirements{Requests: core.ResourceList{core.ResourceStorage: size(w.Storage.Bytes)}},
		},
	}
	if w.Storage.Class != "" {
		claim.Spec.StorageClassName = &w.Storage.Class
	}
	spec.VolumeClaimTemplates = []core.PersistentVolumeClaim{claim}
	spec.PersistentVolumeClaimRetentionPolicy = &apps.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenDeleted: remove, WhenScaled: remove}
	return spec
}

// job is one pod that nothing replaces. One that is moved off its node fails the job by that name; without the policy it
// would look like a pod that failed by itself.
func (r *renderer) job(w platform.Workload) batch.JobSpec {
	moved := batch.PodFailurePolicyRule{
		Action:          batch.PodFailurePolicyActionFailJob,
		OnPodConditions: []batch.PodFailurePolicyOnPodConditionsPattern{{Type: core.DisruptionTarget, Status: core.ConditionTrue}},
	}
	spec := batch.JobSpec{
		BackoffLimit: new(int32(0)), PodFailurePolicy: &batch.PodFailurePolicy{Rules: []batch.PodFailurePolicyRule{moved}}, Template: r.template(w),
	}
	if w.Rights { // it owns what it makes, which ends with it where nobody comes to remove it
		spec.TTLSecondsAfterFinished = new(seconds(leftFor))
	}
	if w.Lifelong > 0 {
		spec.ActiveDeadlineSeconds = new(int64(seconds(w.Lifelong)))
	}
	return spec
}

// template is the pod of a workload. What is mounted as a file is part of it, so that other files mean another pod.
func (r *renderer) template(w platform.Workload) core.PodTemplateSpec {
	labels, annotations := r.labelsOf(w), maps.Clone(r.scope.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(labels, map[string]string{"sidecar.istio.io/inject": "false", "kuma.io/sidecar-injection": "disabled"})
	maps.Copy(annotations, map[string]string{
		"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled", "consul.hashicorp.com/connect-inject": "false",
	})
	if len(w.Files) > 0 {
		annotations["bakeoff/files"] = digestOf(w.Files)[:16]
	}
	return core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels, Annotations: annotations}, Spec: r.pod(w)}
}

func digestOf(files map[string]string) string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text += fmt.Sprintf("%s %d %s\n", name, len(files[name]), files[name])
	}
	return digest(text)
}

func within(w platform.Workload) time.Duration {
	if w.Within > 0 {
		return w.Within
	}
	return startWithin
}

func seconds(d time.Duration) int32 { return int32(d.Seconds()) }

func size(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.BinarySI) }
