//! From the objects of a namespace to the inventory of one Milvus cluster. Pure: the same objects
//! make the same inventory; follows owner references, never names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::model::{
    Autoscaler, ComponentInventory, Owner, Role, Workload, WorkloadKind, WorkloadRef,
};

use super::autoscalers::autoscaler;
use super::labels::{Evidence, Identity, Labels, identify};
use super::objects::Objects;
use super::operator::Managed;
use super::pods;
use super::rollout::Rollout;
use super::settings::{Components, Layout, Selection};

/// What cannot be read, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Why HPAs are not known.
    pub autoscalers: Option<String>,
    /// Why Milvus custom resources are not known; `None` also where there is no such API.
    pub milvuses: Option<String>,
}

/// The inventory's components, and which instance they are of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// The chosen instance; `None` where there is none or it cannot be told which.
    pub instance: Option<String>,
    /// Why the choice is not clear.
    pub error: Option<String>,
    /// The components by name.
    pub components: BTreeMap<Arc<str>, ComponentInventory>,
}

/// A workload of Milvus, before the instance is chosen.
struct Found<'a> {
    identity: Identity,
    meta: &'a ObjectMeta,
    workload: Workload,
}

/// Makes the inventory. `pinned` is the instance that was chosen before: a second one that appears
/// later does not take its place.
pub fn build(
    objects: &Objects,
    namespace: &Arc<str>,
    selection: &Selection,
    gaps: &Gaps,
    pinned: Option<&str>,
) -> Built {
    let found = workloads(objects, namespace, selection.layout, gaps);
    let pods = found_pods(objects, &found, namespace, selection.layout);
    let seen: BTreeSet<&str> = found
        .iter()
        .map(|found| &found.identity)
        .chain(pods.iter().map(|(identity, _)| identity))
        .map(|identity| identity.instance.as_str())
        .collect();
    let (instance, error) = choose(&seen, selection, pinned);
    let mut built = Built { instance, error, components: wanted(selection) };
    let Some(chosen) = built.instance.clone() else { return built };
    let is_ours = |identity: &Identity| {
        belongs(identity, &chosen, selection) && is_selected(selection, identity.role)
    };
    for found in found.into_iter().filter(|found| is_ours(&found.identity)) {
        component(&mut built.components, found.identity.role).workloads.push(found.workload);
    }
    for (identity, pod) in pods.into_iter().filter(|(identity, _)| is_ours(identity)) {
        component(&mut built.components, identity.role).pods.push(pod);
    }
    built
}

/// The configured components, empty: one that has no pods is to be seen as such.
fn wanted(selection: &Selection) -> BTreeMap<Arc<str>, ComponentInventory> {
    match &selection.components {
        Components::Auto => BTreeMap::new(),
        Components::List(names) => names
            .iter()
            .map(|name| {
                let role = Role::parse(name);
                (Arc::from(name.as_str()), ComponentInventory { role, ..Default::default() })
            })
            .collect(),
    }
}

fn is_selected(selection: &Selection, role: Role) -> bool {
    match &selection.components {
        Components::Auto => true,
        Components::List(names) => names.iter().any(|name| name == role.as_str()),
    }
}

fn component(
    components: &mut BTreeMap<Arc<str>, ComponentInventory>,
    role: Role,
) -> &mut ComponentInventory {
    let component = components.entry(Arc::from(role.as_str())).or_default();
    component.role = Some(role);
    component
}

/// Plain manifests often carry no instance label; those belong to whatever is asked for.
fn belongs(identity: &Identity, chosen: &str, selection: &Selection) -> bool {
    identity.instance == chosen
        || (identity.instance.is_empty()
            && identity.layout == Layout::Reference
            && !selection.instance.is_empty())
}

fn choose(
    seen: &BTreeSet<&str>,
    selection: &Selection,
    pinned: Option<&str>,
) -> (Option<String>, Option<String>) {
    let listed = || {
        let name =
            |name: &&str| if name.is_empty() { "(without a label)" } else { *name }.to_owned();
        seen.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let wanted = selection.instance.as_str();
    if !wanted.is_empty() {
        let is_missing = !seen.is_empty() && !seen.contains(wanted) && !seen.contains("");
        let error = is_missing.then(|| {
            format!("there is no Milvus instance \"{wanted}\" in the namespace, but: {}", listed())
        });
        return (Some(wanted.to_owned()), error);
    }
    if seen.len() <= 1 {
        return (seen.first().map(|only| (*only).to_owned()), None);
    }
    let error = format!(
        "several Milvus instances are in the namespace: {}; set `instance` to one of them",
        listed()
    );
    let kept = pinned.filter(|pinned| seen.contains(pinned)).map(str::to_owned);
    (kept, Some(error))
}

fn workloads<'a>(
    objects: &'a Objects,
    namespace: &Arc<str>,
    layout: Layout,
    gaps: &Gaps,
) -> Vec<Found<'a>> {
    let finder = Finder { objects, namespace, layout, gaps };
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
        let containers = template.spec.as_ref();
        let containers: Vec<&str> = containers
            .map(|spec| spec.containers.iter().map(|container| container.name.as_str()).collect())
            .unwrap_or_default();
        let evidence = Evidence {
            pod: template_meta.and_then(|meta| meta.labels.as_ref()).unwrap_or(&none),
            object: meta.labels.as_ref().unwrap_or(&none),
            containers: &containers,
        };
        let identity = identify(self.layout, evidence)?;
        let reference = WorkloadRef { kind, namespace: self.namespace.clone(), name: name.into() };
        let mut workload = Workload {
            desired_replicas: u32::try_from(figures.desired).unwrap_or(0),
            ready_replicas: u32::try_from(figures.ready).unwrap_or(0),
            paused: figures.paused,
            rolling_out: figures.rolling_out,
            owner: self.owner(meta),
            autoscaler: autoscaler(self.objects, self.gaps.autoscalers.as_deref(), &reference),
            reference,
        };
        self.apply_operator(&mut workload, meta, identity.role);
        Some(Found { identity, meta, workload })
    }

    fn owner(&self, meta: &ObjectMeta) -> Owner {
        let Some(owner) = controller(meta) else { return Owner::None };
        let is_milvus = owner.kind == "Milvus" && owner.api_version.starts_with("milvus.io/");
        if !is_milvus {
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
    fn apply_operator(&self, workload: &mut Workload, meta: &ObjectMeta, role: Role) {
        let Owner::MilvusOperator { name } = &workload.owner else { return };
        let Some(milvus) = self.objects.milvuses.get(name) else { return };
        let managed = Managed::new(milvus, role);
        workload.paused |= managed.is_paused();
        workload.rolling_out |= managed.is_rolling_out(meta, workload.desired_replicas);
        let undecided = workload.autoscaler.as_ref().is_none_or(Autoscaler::is_unknown);
        if undecided && managed.owns_replicas() {
            let name = format!("{name} (milvus-operator sets the replicas unless they are -1)");
            workload.autoscaler = Some(Autoscaler { kind: "Milvus".to_owned(), name });
        }
    }
}

fn found_pods(
    objects: &Objects,
    found: &[Found<'_>],
    namespace: &Arc<str>,
    layout: Layout,
) -> Vec<(Identity, crate::model::Pod)> {
    let none = Labels::new();
    let mut pods = Vec::new();
    for (name, pod) in &objects.pods {
        let owner = top_controller(objects, &pod.metadata);
        let known = owner.and_then(|owner| found.iter().find(|found| is_it(found, owner)));
        let identity = match known {
            Some(found) => Some(found.identity.clone()),
            None => {
                let containers: Vec<&str> = pod.spec.as_ref().map_or_else(Vec::new, |spec| {
                    spec.containers.iter().map(|container| container.name.as_str()).collect()
                });
                let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
                identify(layout, Evidence { pod: labels, object: &none, containers: &containers })
            }
        };
        if let Some(identity) = identity {
            let workload = known.map(|found| WorkloadRef {
                namespace: namespace.clone(),
                ..found.workload.reference.clone()
            });
            pods.push((identity, pods::view(name, pod, workload)));
        }
    }
    pods
}

fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// The pod's controller, or that one's controller where it is a ReplicaSet.
fn top_controller<'a>(objects: &'a Objects, pod: &'a ObjectMeta) -> Option<&'a OwnerReference> {
    let owner = controller(pod)?;
    if owner.kind != "ReplicaSet" {
        return Some(owner);
    }
    let set = objects.replica_sets.get(&owner.name)?;
    let is_same = set.metadata.uid.as_deref().is_none_or(|uid| uid == owner.uid);
    if is_same { controller(&set.metadata) } else { None }
}

fn is_it(found: &Found<'_>, owner: &OwnerReference) -> bool {
    let reference = &found.workload.reference;
    reference.kind.as_str() == owner.kind
        && *reference.name == *owner.name
        && found.meta.uid.as_deref().is_none_or(|uid| uid == owner.uid)
}
