package kube

import (
	"fmt"

	core "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// grace is how long a pod may take to end by itself, in seconds.
	grace = 10
	// Names of containers.
	mainName, samplerName = "main", "sampler"
)

// pod is what all pods have in common, and what is the workload's.
func (r *renderer) pod(w platform.Workload) core.PodSpec {
	s := r.scope
	main := r.container(mainName, w.Main)
	main.VolumeMounts, main.StartupProbe = mounts(w), probe(w)
	spec := core.PodSpec{
		AutomountServiceAccountToken: new(w.Rights), EnableServiceLinks: new(false), TerminationGracePeriodSeconds: new(int64(grace)),
		SecurityContext: &core.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(user)), RunAsGroup: new(int64(user)), FSGroup: new(int64(user)),
			SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []core.Container{main}, Volumes: volumes(w), Affinity: r.affinity(w), NodeSelector: s.NodeSelector, PriorityClassName: s.Priority,
	}
	if w.Rights {
		spec.ServiceAccountName = platform.ObjectName(w.Name)
	}
	if w.Lifetime == platform.Once {
		spec.RestartPolicy = core.RestartPolicyNever
	}
	if w.Sampled {
		spec.ShareProcessNamespace, spec.InitContainers = new(true), []core.Container{r.sampler(w)}
	}
	if s.PullSecret != "" {
		spec.ImagePullSecrets = []core.LocalObjectReference{{Name: s.PullSecret}}
	}
	for _, t := range s.Tolerations {
		spec.Tolerations = append(spec.Tolerations, core.Toleration{
			Key: t.Key, Operator: core.TolerationOperator(t.Operator), Value: t.Value, Effect: core.TaintEffect(t.Effect),
		})
	}
	return spec
}

// affinity keeps copies of one workload, and roles, on nodes of their own, and those that load on different ones where there are enough.
// A spread constraint would not: on two nodes it places three copies as two and one, and says nothing.
func (r *renderer) affinity(w platform.Workload) *core.Affinity {
	var anti core.PodAntiAffinity
	if w.OnePerNode {
		anti.RequiredDuringSchedulingIgnoredDuringExecution = []core.PodAffinityTerm{
			{TopologyKey: onHost, LabelSelector: &meta.LabelSelector{MatchLabels: r.selector(w)}},
		}
	}
	if len(w.AwayFrom) > 0 {
		others := core.PodAffinityTerm{TopologyKey: onHost, LabelSelector: &meta.LabelSelector{
			MatchLabels:      map[string]string{labelRun: r.scope.Run},
			MatchExpressions: []meta.LabelSelectorRequirement{{Key: labelRole, Operator: meta.LabelSelectorOpIn, Values: w.AwayFrom}},
		}}
		like := core.PodAffinityTerm{TopologyKey: onHost, LabelSelector: &meta.LabelSelector{
			MatchLabels: map[string]string{labelRun: r.scope.Run, labelRole: w.Role},
		}}
		anti.PreferredDuringSchedulingIgnoredDuringExecution = []core.WeightedPodAffinityTerm{{Weight: 10, PodAffinityTerm: like}}
		if w.MustKeep {
			anti.RequiredDuringSchedulingIgnoredDuringExecution = append(anti.RequiredDuringSchedulingIgnoredDuringExecution, others)
		} else {
			anti.PreferredDuringSchedulingIgnoredDuringExecution = append(anti.PreferredDuringSchedulingIgnoredDuringExecution,
				core.WeightedPodAffinityTerm{Weight: 100, PodAffinityTerm: others})
		}
	}
	if anti.RequiredDuringSchedulingIgnoredDuringExecution == nil && anti.PreferredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return &core.Affinity{PodAntiAffinity: &anti}
}

func (r *renderer) container(name string, c platform.Container) core.Container {
	out := core.Container{
		Name: name, Image: c.Image, ImagePullPolicy: core.PullIfNotPresent, Command: c.Argv, WorkingDir: c.Dir,
		Resources: core.ResourceRequirements{Requests: amounts(c.Requests), Limits: amounts(c.Limits)},
		SecurityContext: &core.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}},
		},
	}
	for _, v := range c.Env {
		out.Env = append(out.Env, variable(v))
	}
	for _, p := range c.Ports {
		out.Ports = append(out.Ports, core.ContainerPort{Name: p.Name, ContainerPort: int32(p.Number)})
	}
	return out
}

// sampler starts before the main container and ends after it. Pods whose main container may use just what it asks
// for are of the class Guaranteed only when the sampler is alike.
func (r *renderer) sampler(w platform.Workload) core.Container {
	c := r.scope.Sampler
	if w.Main.Guaranteed() {
		c.Limits = c.Requests
	}
	out := r.container(samplerName, c)
	out.RestartPolicy = new(core.ContainerRestartPolicyAlways)
	return out
}

func variable(v platform.Variable) core.EnvVar {
	out := core.EnvVar{Name: v.Name, Value: v.Value}
	switch {
	case v.Secret != "":
		out.ValueFrom = &core.EnvVarSource{SecretKeyRef: &core.SecretKeySelector{
			LocalObjectReference: core.LocalObjectReference{Name: platform.ObjectName(v.Secret)}, Key: v.Key,
		}}
	case v.Field != "":
		out.ValueFrom = &core.EnvVarSource{FieldRef: &core.ObjectFieldSelector{FieldPath: v.Field}}
	}
	return out
}

// probe asks while a container starts and never again: it would be a load of its own, and an overloaded replica
// would be taken out of the service in the middle of a measurement.
func probe(w platform.Workload) *core.Probe {
	if len(w.Main.Ports) == 0 {
		return nil
	}
	port := intstr.FromString(w.Main.Ports[0].Name)
	out := &core.Probe{PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: seconds(within(w))}
	if w.Main.Ready == "" {
		out.TCPSocket = &core.TCPSocketAction{Port: port}
	} else {
		out.HTTPGet = &core.HTTPGetAction{Path: w.Main.Ready, Port: port}
	}
	return out
}

// amounts are none where nothing is said: an empty list would own the field.
func amounts(a platform.Amounts) core.ResourceList {
	if a == (platform.Amounts{}) {
		return nil
	}
	out := core.ResourceList{}
	if a.MilliCPU > 0 {
		out[core.ResourceCPU] = *resource.NewMilliQuantity(a.MilliCPU, resource.DecimalSI)
	}
	if a.Bytes > 0 {
		out[core.ResourceMemory] = size(a.Bytes)
	}
	return out
}

func volumes(w platform.Workload) []core.Volume {
	var out []core.Volume
	if len(w.Files) > 0 {
		files := &core.ConfigMapVolumeSource{LocalObjectReference: core.LocalObjectReference{Name: platform.ObjectName(w.Name)}}
		out = append(out, core.Volume{Name: filesName, VolumeSource: core.VolumeSource{ConfigMap: files}})
	}
	for i, f := range w.Folders {
		dir := &core.EmptyDirVolumeSource{}
		if f.Memory {
			dir.Medium = core.StorageMediumMemory
		}
		if f.Bytes > 0 {
			dir.SizeLimit = new(size(f.Bytes))
		}
		out = append(out, core.Volume{Name: folderName(i), VolumeSource: core.VolumeSource{EmptyDir: dir}})
	}
	if w.Storage.Path != "" && w.Storage.Bytes == 0 {
		out = append(out, core.Volume{Name: storageName, VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}})
	}
	return out
}

func mounts(w platform.Workload) []core.VolumeMount {
	var out []core.VolumeMount
	if len(w.Files) > 0 {
		out = append(out, core.VolumeMount{Name: filesName, MountPath: platform.FilesDir, ReadOnly: true})
	}
	for i, f := range w.Folders {
		out = append(out, core.VolumeMount{Name: folderName(i), MountPath: f.Path})
	}
	if w.Storage.Path != "" {
		out = append(out, core.VolumeMount{Name: storageName, MountPath: w.Storage.Path})
	}
	return out
}

func folderName(i int) string { return fmt.Sprintf("folder-%d", i+1) }
