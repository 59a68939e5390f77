//! The objects of one namespace as the watches last saw them. Owns the store and what is trimmed
//! from it; draws no conclusions.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, ReplicaSetSpec, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Container, ExecAction, Pod, PodSpec, PodTemplateSpec, Probe};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;

use super::gitops;
use super::revisions::{CONTENT, content};

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
    /// apps/v1; only their metadata is kept, with a mark of the template's content.
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

/// The same for an object in which a number of replicas stands: whether a GitOps tool sets that one
/// is kept.
pub fn trim_owned_meta(meta: &mut ObjectMeta) {
    let kept = gitops::keep(meta.managed_fields.take());
    trim_meta(meta);
    meta.managed_fields = kept;
}

/// Drops the pod's volumes, environments, and of its probes what they send.
pub fn trim_pod(pod: &mut Pod) {
    trim_meta(&mut pod.metadata);
    if let Some(spec) = &mut pod.spec {
        trim_pod_spec(spec);
    }
}

/// Drops everything but the metadata and a mark of the template's content.
pub fn trim_replica_set(set: &mut ReplicaSet) {
    trim_meta(&mut set.metadata);
    mark_content(&mut set.metadata, set.spec.template.as_ref());
    set.spec = ReplicaSetSpec::default();
    set.status = None;
}

/// Drops what nobody reads, and leaves a mark of the template's content.
pub fn trim_deployment(deployment: &mut Deployment) {
    trim_owned_meta(&mut deployment.metadata);
    mark_content(&mut deployment.metadata, Some(&deployment.spec.template));
    trim_template(&mut deployment.spec.template);
}

/// Writes the mark of `template` into the annotations, over whatever stands there.
fn mark_content(meta: &mut ObjectMeta, template: Option<&PodTemplateSpec>) {
    let annotations = meta.annotations.get_or_insert_default();
    match template.and_then(|template| serde_json::to_value(template).ok()) {
        Some(template) => {
            annotations.insert(CONTENT.to_owned(), content(template).to_string());
        }
        None => {
            annotations.remove(CONTENT);
        }
    }
}

/// Drops the volumes and environments of a workload's template.
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
            liveness_probe: container.liveness_probe.take().map(trim_probe),
            startup_probe: container.startup_probe.take().map(trim_probe),
            ..Container::default()
        };
    }
}

/// Of what a probe asks only the kind matters.
fn trim_probe(mut probe: Probe) -> Probe {
    if let Some(get) = &mut probe.http_get {
        (get.http_headers, get.path, get.host) = (None, None, None);
    }
    if let Some(exec) = &mut probe.exec {
        *exec = ExecAction::default();
    }
    probe
}
