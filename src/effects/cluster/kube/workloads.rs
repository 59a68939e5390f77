//! The Milvus workloads of a namespace in the model's terms: replicas, rollout, owner, autoscaler.
//! Pure; follows owner references, never names.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::model::{Autoscaler, Owner, Role, Workload, WorkloadKind, WorkloadRef};

use super::autoscalers::Target;
use super::gitops;
use super::labels::{Evidence, Identity, Labels, identify};
use super::objects::Objects;
use super::operator::{Managed, Replicas};
use super::revisions::Revisions;
use super::rollout::Rollout;
use super::settings::Layout;

/// What cannot be read, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Why HPAs or KEDA's objects are not known; `None` also where there is no API of KEDA.
    pub autoscalers: Option<String>,
    /// Why Milvus custom resources are not known; `None` also where there is no such API.
    pub milvuses: Option<String>,
}

/// A workload of Milvus, before the instance is chosen.
pub struct Found<'a> {
    /// What it is to Milvus.
    pub identity: Identity,
    meta: &'a ObjectMeta,
    /// The model's view of it.
    pub workload: Workload,
}

impl Found<'_> {
    /// Whether `owner` refers to it.
    pub fn is(&self, owner: &OwnerReference) -> bool {
        let reference = &self.workload.reference;
        reference.kind.as_str() == owner.kind
            && *reference.name == *owner.name
            && self.meta.uid.as_deref().is_none_or(|uid| uid == owner.uid)
    }
}

/// Every Milvus workload, whatever its instance.
pub fn workloads<'a>(
    objects: &'a Objects,
    namespace: &Arc<str>,
    layout: Layout,
    gaps: &Gaps,
) -> Vec<Found<'a>> {
    let revisions = Revisions::of(objects);
    let finder = Finder { objects, namespace, layout, gaps, revisions };
    let mut found = Vec::new();
    for (name, deployment) in &objects.deployments {
        let spec = &deployment.spec;
        let status = deployment.status.as_ref();
        found.extend(finder.found(
            WorkloadKind::Deployment,
            name,
            &deployment.metadata,
            &spec.template,
            Figures {
                desired: spec.replicas.unwrap_or(1),
                ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
                paused: spec.paused.unwrap_or(false),
                rolling_out: deployment.is_rolling_out(),
            },
        ));
    }
    for (name, set) in &objects.stateful_sets {
        let spec = &set.spec;
        found.extend(finder.found(
            WorkloadKind::StatefulSet,
            name,
            &set.metadata,
            &spec.template,
            Figures {
                desired: spec.replicas.unwrap_or(1),
                ready: set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0),
                paused: false,
                rolling_out: set.is_rolling_out(),
            },
        ));
    }
    for (name, set) in &objects.daemon_sets {
        let status = set.status.as_ref();
        found.extend(finder.found(
            WorkloadKind::DaemonSet,
            name,
            &set.metadata,
            &set.spec.template,
            Figures {
                desired: status.map_or(0, |status| status.desired_number_scheduled),
                ready: status.map_or(0, |status| status.number_ready),
                paused: false,
                rolling_out: set.is_rolling_out(),
            },
        ));
    }
    found
}

/// What the three kinds have in common.
struct Figures {
    desired: i32,
    ready: i32,
    paused: bool,
    rolling_out: bool,
}

struct Finder<'a, 'b> {
    objects: &'a Objects,
    namespace: &'b Arc<str>,
    layout: Layout,
    gaps: &'b Gaps,
    revisions: Revisions<'a>,
}

impl<'a> Finder<'a, '_> {
    fn found(
        &self,
        kind: WorkloadKind,
        name: &str,
        meta: &'a ObjectMeta,
        template: &PodTemplateSpec,
        figures: Figures,
    ) -> Option<Found<'a>> {
        let none = Labels::new();
        let template_meta = template.metadata.as_ref();
        let containers = container_names(template.spec.as_ref());
        let evidence = Evidence {
            pod: template_meta.and_then(|meta| meta.labels.as_ref()).unwrap_or(&none),
            object: meta.labels.as_ref().unwrap_or(&none),
            containers: &containers,
        };
        let identity = identify(self.layout, evidence)?;
        let reference = WorkloadRef { kind, namespace: self.namespace.clone(), name: name.into() };
        let owner = self.owner(meta);
        let mut workload = Workload {
            desired_replicas: u32::try_from(figures.desired).unwrap_or(0),
            ready_replicas: u32::try_from(figures.ready).unwrap_or(0),
            paused: figures.paused,
            rolling_out: figures.rolling_out,
            autoscaler: self.autoscaler(&reference, &owner),
            gitops: gitops::of(meta, gitops::OF_WORKLOAD),
            owner,
            reference,
            holds: Vec::new(),
            revision: self.revisions.newest(kind, meta),
        };
        self.apply_operator(&mut workload, (evidence.pod, evidence.object), identity.role);
        Some(Found { identity, meta, workload })
    }

    fn autoscaler(&self, workload: &WorkloadRef, owner: &Owner) -> Option<Autoscaler> {
        let milvus = match owner {
            Owner::MilvusOperator { name } => Some(name.as_str()),
            Owner::None | Owner::Unknown { .. } => None,
        };
        let (hpas, keda) = (self.objects.autoscalers.values(), self.objects.keda.values());
        Target { workload, milvus }.autoscaler(hpas, keda, self.gaps.autoscalers.as_deref())
    }

    fn owner(&self, meta: &ObjectMeta) -> Owner {
        let Some(owner) = controller(meta) else { return Owner::None };
        if !is_milvus(owner) {
            return Owner::Unknown { kind: owner.kind.clone(), name: owner.name.clone() };
        }
        match &self.gaps.milvuses {
            // Whether the operator is at work there cannot be told: keep off.
            Some(why) => Owner::Unknown {
                kind: format!("Milvus custom resource that cannot be read ({why})"),
                name: owner.name.clone(),
            },
            None => Owner::MilvusOperator { name: owner.name.clone() },
        }
    }

    /// What milvus-operator's custom resource adds to what the Deployment itself says.
    fn apply_operator(
        &self,
        workload: &mut Workload,
        (labels, object): (&Labels, &Labels),
        role: Role,
    ) {
        let Owner::MilvusOperator { name } = &workload.owner else { return };
        let Some(milvus) = self.objects.milvuses.get(name) else { return };
        let managed = Managed::new(milvus, role);
        workload.holds = managed.holds(labels, workload.desired_replicas);
        let undecided = workload.autoscaler.as_ref().is_none_or(Autoscaler::is_unknown);
        match managed.replicas(object) {
            Replicas::Wanted { at, .. } => {
                // The Deployment is made from the custom resource: that one is looked after.
                workload.gitops = gitops::of(&milvus.metadata, &at.managed_path());
            }
            Replicas::HandedOver { why } if undecided => {
                workload.autoscaler =
                    Some(Autoscaler::handed_over(format!("Milvus/{name}: {why}")));
            }
            Replicas::Unclear { why } if undecided => {
                workload.autoscaler = Some(Autoscaler::unknown(format!("Milvus/{name}: {why}")));
            }
            Replicas::HandedOver { .. } | Replicas::Unclear { .. } => {}
        }
    }
}

/// Whether it is a custom resource of milvus-operator.
pub fn is_milvus(owner: &OwnerReference) -> bool {
    owner.kind == "Milvus" && owner.api_version.starts_with("milvus.io/")
}

/// The owner that answers for it.
pub fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// The pod's controller, or that one's controller where it is a `ReplicaSet`.
pub fn top_controller<'a>(objects: &'a Objects, pod: &'a ObjectMeta) -> Option<&'a OwnerReference> {
    let owner = controller(pod)?;
    if owner.kind != "ReplicaSet" {
        return Some(owner);
    }
    let set = objects.replica_sets.get(&owner.name)?;
    let is_same = set.metadata.uid.as_deref().is_none_or(|uid| uid == owner.uid);
    if is_same { controller(&set.metadata) } else { None }
}

/// The names of a pod's ordinary containers.
pub fn container_names(spec: Option<&PodSpec>) -> Vec<&str> {
    spec.map_or_else(Vec::new, |spec| {
        spec.containers.iter().map(|container| container.name.as_str()).collect()
    })
}
