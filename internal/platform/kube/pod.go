package kube

import (
	"fmt"

	core "k8s.io/api/core/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bakeoff/internal/platform"
)

const (
	// user runs everything; the sampler sees the processes of its own user only.
	user = 10001
	// onHost keeps pods apart by the node they are on.
	onHost = "kubernetes.io/hostname"
	// filesName is the volume of a workload's files.
	filesName = "files"
	// grace is how long a pod may take to end by itself.
	grace = 10
)

// pod is what all pods have in common, and what is the workload's.
func (r *renderer) pod(w platform.Workload) *coreac.PodSpecApplyConfiguration {
	s := r.scope
	spec := coreac.PodSpec().WithAutomountServiceAccountToken(w.Rights).WithEnableServiceLinks(false).WithTerminationGracePeriodSeconds(grace).
		WithSecurityContext(coreac.PodSecurityContext().WithRunAsNonRoot(true).WithRunAsUser(user).WithRunAsGroup(user).WithFSGroup(user).
			WithSeccompProfile(coreac.SeccompProfile().WithType(core.SeccompProfileTypeRuntimeDefault))).
		WithContainers(r.container("main", w.Main).WithVolumeMounts(mounts(w)...).WithStartupProbe(probe(w))).WithVolumes(volumes(w)...)
	if w.Rights {
		spec.WithServiceAccountName(platform.ObjectName(w.Name))
	}
	if w.Lifetime == platform.Once {
		spec.WithRestartPolicy(core.RestartPolicyNever)
	}
	if w.Sampled {
		spec.WithShareProcessNamespace(true).WithInitContainers(r.sampler(w))
	}
	if affinity := r.affinity(w); affinity != nil {
		spec.WithAffinity(affinity)
	}
	if s.PullSecret != "" {
		spec.WithImagePullSecrets(coreac.LocalObjectReference().WithName(s.PullSecret))
	}
	if len(s.NodeSelector) > 0 {
		spec.WithNodeSelector(s.NodeSelector)
	}
	for _, t := range s.Tolerations {
		spec.WithTolerations(toleration(t))
	}
	if s.Priority != "" {
		spec.WithPriorityClassName(s.Priority)
	}
	return spec
}

func toleration(t platform.Toleration) *coreac.TolerationApplyConfiguration {
	out := coreac.Toleration()
	if t.Key != "" {
		out.WithKey(t.Key)
	}
	if t.Operator != "" {
		out.WithOperator(core.TolerationOperator(t.Operator))
	}
	if t.Value != "" {
		out.WithValue(t.Value)
	}
	if t.Effect != "" {
		out.WithEffect(core.TaintEffect(t.Effect))
	}
	return out
}

// affinity keeps copies of one workload, and roles, on nodes of their own. A spread constraint would not: on two
// nodes it places three copies as two and one, and says nothing.
func (r *renderer) affinity(w platform.Workload) *coreac.AffinityApplyConfiguration {
	anti := coreac.PodAntiAffinity()
	if w.OnePerNode {
		anti.WithRequiredDuringSchedulingIgnoredDuringExecution(coreac.PodAffinityTerm().WithTopologyKey(onHost).
			WithLabelSelector(metaac.LabelSelector().WithMatchLabels(r.selector(w))))
	}
	if len(w.AwayFrom) > 0 {
		others := coreac.PodAffinityTerm().WithTopologyKey(onHost).WithLabelSelector(metaac.LabelSelector().
			WithMatchLabels(map[string]string{labelRun: r.scope.Run}).
			WithMatchExpressions(metaac.LabelSelectorRequirement().WithKey(labelRole).WithOperator("In").WithValues(w.AwayFrom...)))
		if w.MustKeep {
			anti.WithRequiredDuringSchedulingIgnoredDuringExecution(others)
		} else {
			anti.WithPreferredDuringSchedulingIgnoredDuringExecution(coreac.WeightedPodAffinityTerm().WithWeight(100).WithPodAffinityTerm(others))
		}
	}
	if anti.RequiredDuringSchedulingIgnoredDuringExecution == nil && anti.PreferredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return coreac.Affinity().WithPodAntiAffinity(anti)
}

func (r *renderer) container(name string, c platform.Container) *coreac.ContainerApplyConfiguration {
	out := coreac.Container().WithName(name).WithImage(c.Image).WithImagePullPolicy(core.PullIfNotPresent).
		WithResources(resources(c)).WithSecurityContext(coreac.SecurityContext().WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
		WithCapabilities(coreac.Capabilities().WithDrop("ALL")))
	if len(c.Argv) > 0 {
		out.WithCommand(c.Argv...)
	}
	if c.Dir != "" {
		out.WithWorkingDir(c.Dir)
	}
	for _, v := range c.Env {
		out.WithEnv(variable(v))
	}
	for _, p := range c.Ports {
		out.WithPorts(coreac.ContainerPort().WithName(p.Name).WithContainerPort(int32(p.Number)))
	}
	return out
}

// sampler starts before the main container and ends after it. Pods whose main container may use just what it asks
// for are of the class Guaranteed only when the sampler is alike.
func (r *renderer) sampler(w platform.Workload) *coreac.ContainerApplyConfiguration {
	c := r.scope.Sampler
	if w.Main.Guaranteed() {
		c.Limits = c.Requests
	}
	return r.container("sampler", c).WithRestartPolicy(core.ContainerRestartPolicyAlways)
}

func variable(v platform.Variable) *coreac.EnvVarApplyConfiguration {
	out := coreac.EnvVar().WithName(v.Name)
	switch {
	case v.Secret != "":
		return out.WithValueFrom(coreac.EnvVarSource().WithSecretKeyRef(coreac.SecretKeySelector().WithName(platform.ObjectName(v.Secret)).WithKey(v.Key)))
	case v.Field != "":
		return out.WithValueFrom(coreac.EnvVarSource().WithFieldRef(coreac.ObjectFieldSelector().WithFieldPath(v.Field)))
	}
	return out.WithValue(v.Value)
}

// probe asks while a container starts and never again: it would be a load of its own, and an overloaded replica
// would be taken out of the service in the middle of a measurement.
func probe(w platform.Workload) *coreac.ProbeApplyConfiguration {
	if len(w.Main.Ports) == 0 {
		return nil
	}
	port := intstr.FromString(w.Main.Ports[0].Name)
	out := coreac.Probe().WithPeriodSeconds(1).WithTimeoutSeconds(5).WithFailureThreshold(seconds(within(w)))
	if w.Main.Ready == "" {
		return out.WithTCPSocket(coreac.TCPSocketAction().WithPort(port))
	}
	return out.WithHTTPGet(coreac.HTTPGetAction().WithPath(w.Main.Ready).WithPort(port))
}

// resources name no limit where there is none: an empty list would own the field.
func resources(c platform.Container) *coreac.ResourceRequirementsApplyConfiguration {
	out := coreac.ResourceRequirements()
	if c.Requests != (platform.Amounts{}) {
		out.WithRequests(amounts(c.Requests))
	}
	if c.Limits != (platform.Amounts{}) {
		out.WithLimits(amounts(c.Limits))
	}
	return out
}

func amounts(a platform.Amounts) core.ResourceList {
	out := core.ResourceList{}
	if a.MilliCPU > 0 {
		out[core.ResourceCPU] = *resource.NewMilliQuantity(a.MilliCPU, resource.DecimalSI)
	}
	if a.Bytes > 0 {
		out[core.ResourceMemory] = size(a.Bytes)
	}
	return out
}

func volumes(w platform.Workload) []*coreac.VolumeApplyConfiguration {
	var out []*coreac.VolumeApplyConfiguration
	if len(w.Files) > 0 {
		out = append(out, coreac.Volume().WithName(filesName).WithConfigMap(coreac.ConfigMapVolumeSource().WithName(platform.ObjectName(w.Name))))
	}
	for i, f := range w.Folders {
		dir := coreac.EmptyDirVolumeSource()
		if f.Memory {
			dir.WithMedium(core.StorageMediumMemory)
		}
		if f.Bytes > 0 {
			dir.WithSizeLimit(size(f.Bytes))
		}
		out = append(out, coreac.Volume().WithName(folderName(i)).WithEmptyDir(dir))
	}
	if w.Storage.Path != "" && w.Storage.Bytes == 0 {
		out = append(out, coreac.Volume().WithName(storageName).WithEmptyDir(coreac.EmptyDirVolumeSource()))
	}
	return out
}

func mounts(w platform.Workload) []*coreac.VolumeMountApplyConfiguration {
	var out []*coreac.VolumeMountApplyConfiguration
	if len(w.Files) > 0 {
		out = append(out, coreac.VolumeMount().WithName(filesName).WithMountPath(platform.FilesDir).WithReadOnly(true))
	}
	for i, f := range w.Folders {
		out = append(out, coreac.VolumeMount().WithName(folderName(i)).WithMountPath(f.Path))
	}
	if w.Storage.Path != "" {
		out = append(out, coreac.VolumeMount().WithName(storageName).WithMountPath(w.Storage.Path))
	}
	return out
}

func folderName(i int) string { return fmt.Sprintf("folder-%d", i+1) }
