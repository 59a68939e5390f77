//! The objects of one namespace as the watches last saw them. Owns the store and what is trimmed
//! from it; draws no conclusions.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, ReplicaSetSpec, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;

/// Objects of one kind, by name.
pub type ByName<K> = BTreeMap<String, K>;

/// Everything that the inventory is made from.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// core/v1.
    pub pods: ByName<Pod>,
    /// apps/v1.
    pub deployments: ByName<Deployment>,
    /// apps/v1.
    pub stateful_sets: ByName<StatefulSet>,
    /// apps/v1.
    pub daemon_sets: ByName<DaemonSet>,
    /// apps/v1; only their metadata is kept.
    pub replica_sets: ByName<ReplicaSet>,
    /// autoscaling/v2.
    pub autoscalers: ByName<HorizontalPodAutoscaler>,
    /// milvus.io/v1beta1 Milvus.
    pub milvuses: ByName<DynamicObject>,
    /// keda.sh/v1alpha1 `ScaledObject`.
    pub keda: ByName<DynamicObject>,
}

/// Drops what nobody reads: managed fields and the copy of the object that kubectl leaves.
pub fn trim_meta(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// Drops the pod's volumes, environments and probes.
pub fn trim_pod(pod: &mut Pod) {
    trim_meta(&mut pod.metadata);
    if let Some(spec) = &mut pod.spec {
        trim_pod_spec(spec);
    }
}

/// Drops everything but the metadata.
pub fn trim_replica_set(set: &mut ReplicaSet) {
    trim_meta(&mut set.metadata);
    set.spec = ReplicaSetSpec::default();
    set.status = None;
}

/// Drops the volumes, environments and probes of a workload's template.
pub fn trim_template(template: &mut PodTemplateSpec) {
    if let Some(spec) = &mut template.spec {
        trim_pod_spec(spec);
    }
}

fn trim_pod_spec(spec: &mut PodSpec) {
    spec.volumes = None;
    spec.affinity = None;
    spec.tolerations = None;
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        *container = Container {
            name: std::mem::take(&mut container.name),
            image: container.image.take(),
            resources: container.resources.take(),
            restart_policy: container.restart_policy.take(),
            ..Container::default()
        };
    }
}
