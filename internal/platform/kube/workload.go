package kube

import (
	"fmt"
	"maps"
	"slices"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	batchac "k8s.io/client-go/applyconfigurations/batch/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"

	"k8s.io/apimachinery/pkg/api/resource"

	"bakeoff/internal/platform"
)

// storageName is that of the volume which outlives its pod.
const storageName = "storage"

// startWithin is how long pods may take to get ready when their workload does not say.
const startWithin = 2 * time.Minute

// workload adds the objects of one workload.
func (r *renderer) workload(w platform.Workload) {
	name, ns := platform.ObjectName(w.Name), r.scope.Namespace
	labels := r.labelsOf(w)
	if len(w.Files) > 0 {
		r.add("ConfigMap", name, coreac.ConfigMap(name, ns).WithLabels(labels).WithOwnerReferences(r.owners(w)...).WithData(w.Files))
	}
	if len(w.Main.Ports) > 0 {
		r.add("Service", name, coreac.Service(name, ns).WithLabels(labels).WithOwnerReferences(r.owners(w)...).WithSpec(r.service(w)))
	}
	switch w.Lifetime {
	case platform.Deployed:
		r.add("Deployment", name, appsac.Deployment(name, ns).WithLabels(labels).WithOwnerReferences(r.owners(w)...).WithSpec(r.deployment(w)))
	case platform.Stateful:
		r.add("StatefulSet", name, appsac.StatefulSet(name, ns).WithLabels(labels).WithOwnerReferences(r.owners(w)...).WithSpec(r.stateful(w)))
	case platform.Once:
		r.add("Job", name, batchac.Job(name, ns).WithLabels(labels).WithOwnerReferences(r.owners(w)...).WithSpec(r.job(w)))
	}
}

// service gives the workload's name the addresses of its pods: no proxy is between them and who asks, which would
// share connections out by itself.
func (r *renderer) service(w platform.Workload) *coreac.ServiceSpecApplyConfiguration {
	spec := coreac.ServiceSpec().WithClusterIP(core.ClusterIPNone).WithSelector(r.selector(w))
	if w.Early {
		spec.WithPublishNotReadyAddresses(true)
	}
	for _, p := range w.Main.Ports {
		spec.WithPorts(coreac.ServicePort().WithName(p.Name).WithPort(int32(p.Number)))
	}
	return spec
}

func (r *renderer) deployment(w platform.Workload) *appsac.DeploymentSpecApplyConfiguration {
	return appsac.DeploymentSpec().WithReplicas(int32(w.Copies)).WithRevisionHistoryLimit(0).
		WithStrategy(appsac.DeploymentStrategy().WithType(apps.RecreateDeploymentStrategyType)).
		WithProgressDeadlineSeconds(seconds(within(w) + time.Minute)).
		WithSelector(metaac.LabelSelector().WithMatchLabels(r.selector(w))).WithTemplate(r.template(w))
}

func (r *renderer) stateful(w platform.Workload) *appsac.StatefulSetSpecApplyConfiguration {
	spec := appsac.StatefulSetSpec().WithReplicas(1).WithServiceName(platform.ObjectName(w.Name)).WithPodManagementPolicy(apps.ParallelPodManagement).
		WithSelector(metaac.LabelSelector().WithMatchLabels(r.selector(w))).WithTemplate(r.template(w))
	if w.Storage.Bytes == 0 {
		return spec
	}
	remove := apps.DeletePersistentVolumeClaimRetentionPolicyType
	claim := coreac.PersistentVolumeClaimSpec().WithAccessModes(core.ReadWriteOnce).
		WithResources(coreac.VolumeResourceRequirements().WithRequests(core.ResourceList{core.ResourceStorage: size(w.Storage.Bytes)}))
	if w.Storage.Class != "" {
		claim.WithStorageClassName(w.Storage.Class)
	}
	return spec.WithVolumeClaimTemplates(coreac.PersistentVolumeClaim(storageName, r.scope.Namespace).WithLabels(r.labelsOf(w)).WithSpec(claim)).
		WithPersistentVolumeClaimRetentionPolicy(appsac.StatefulSetPersistentVolumeClaimRetentionPolicy().WithWhenDeleted(remove).WithWhenScaled(remove))
}

// job is one pod that nothing replaces. One that is moved off its node fails the job by that name; without the policy it
// would look like a pod that failed by itself.
func (r *renderer) job(w platform.Workload) *batchac.JobSpecApplyConfiguration {
	moved := batchac.PodFailurePolicyRule().WithAction(batch.PodFailurePolicyActionFailJob).
		WithOnPodConditions(batchac.PodFailurePolicyOnPodConditionsPattern().WithType(core.DisruptionTarget).WithStatus(core.ConditionTrue))
	spec := batchac.JobSpec().WithBackoffLimit(0).WithPodFailurePolicy(batchac.PodFailurePolicy().WithRules(moved)).WithTemplate(r.template(w))
	if w.Lifelong > 0 {
		spec.WithActiveDeadlineSeconds(int64(seconds(w.Lifelong)))
	}
	return spec
}

// template is the pod of a workload. What is mounted as a file is part of it, so that other files mean another pod.
func (r *renderer) template(w platform.Workload) *coreac.PodTemplateSpecApplyConfiguration {
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
	return coreac.PodTemplateSpec().WithLabels(labels).WithAnnotations(annotations).WithSpec(r.pod(w))
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
